import { setTimeout as sleep } from 'node:timers/promises'
import { type EpochId, errorFields, type Log } from '@latchkey/shared'

/** A place where dead processes may have left records. */
export interface Leftovers {
  /** For the log. */
  readonly name: string
  /** Writes what is there and removes it. `epochs` have just ended; others may have, before. Throws where it can't now. */
  replay(epochs: readonly EpochId[]): Promise<void>
}

export interface TakeOverOptions {
  readonly places: readonly Leftovers[]
  readonly log: Log
  /** Between two looks, in milliseconds. */
  readonly every: number
}

// Sweeping late is worse than settling what was swept.
const sweepWaitsMs = 10_000

/** Records what dead processes had taken down and not yet written: when one is found dead, at the start, and now and then. */
export class TakeOver {
  readonly #options: TakeOverOptions
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> | null = null

  constructor(options: TakeOverOptions) {
    this.#options = options
  }

  /** Looks now, and again from then on. */
  start(): void {
    void this.look()
    this.#timer = setInterval(() => void this.look(), this.#options.every)
    this.#timer.unref()
  }

  /** What is found later settles from what was swept. */
  async beforeSweep(epochs: readonly EpochId[]): Promise<void> {
    await Promise.race([this.#replay(epochs), sleep(sweepWaitsMs, undefined, { ref: false })])
  }

  /** Looks everywhere, once. Never throws. */
  look(): Promise<void> {
    this.#looking ??= this.#replay([]).finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  /** Begins no more looks. One that runs ends with the database's connections, and leaves the rest where it is. */
  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  async #replay(epochs: readonly EpochId[]): Promise<void> {
    for (const place of this.#options.places) {
      try {
        await place.replay(epochs)
      } catch (error) {
        this.#options.log.warn('records.take_over_failed', { name: place.name, ...errorFields(error) })
      }
    }
  }
}
