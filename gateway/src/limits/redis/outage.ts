import { type Clock, errorFields, type Log } from '@latchkey/shared'

/** How often Redis is tried while it is away. Longer than a call's deadline, so that none from before it fails after it. */
const probeEveryMs = 500

export interface OutageOptions {
  /** Resolves when Redis takes writes again. */
  readonly probe: () => Promise<unknown>
  readonly restored: () => void
  readonly clock: Clock
  readonly log: Log
}

/** Whether Redis is away, and finding out when it is back. */
export class Outage {
  readonly #options: OutageOptions
  #since: number | null = null
  #timer: NodeJS.Timeout | null = null
  #closed = false
  #count = 0

  constructor(options: OutageOptions) {
    this.#options = options
  }

  get lasts(): boolean {
    return this.#since !== null
  }

  /** Outages so far. */
  get count(): number {
    return this.#count
  }

  /** Redis has failed. Logged once an outage; true for the first failure of one. */
  begin(error: unknown): boolean {
    if (this.lasts || this.#closed) return false
    const { clock, log } = this.#options
    this.#since = clock.monotonic()
    this.#count += 1
    log.warn('limits.fallback', errorFields(error))
    this.#probeLater()
    return true
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #probeLater(): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.#probe(), probeEveryMs).unref()
  }

  async #probe(): Promise<void> {
    const { probe, restored, clock, log } = this.#options
    try {
      await probe()
    } catch (error) {
      log.debug('limits.probe_failed', errorFields(error))
      this.#probeLater()
      return
    }
    const durationMs = Math.round(clock.monotonic() - (this.#since ?? 0))
    this.#since = null
    log.info('limits.restored', { durationMs })
    restored()
  }
}
