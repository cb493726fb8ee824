import { errorFields, type Log, type ProxyKeyId } from '@latchkey/shared'
import type { ChangeFeed } from '@latchkey/vault'
import type { InFlight } from './in-flight.ts'

/** How long after a look that failed the next one is. */
const lookAgainMs = 1_000

export interface CompromisedKeysOptions {
  readonly inFlight: InFlight
  readonly changes: Pick<ChangeFeed, 'watch'>
  /** Which of these are revoked as compromised. */
  readonly find: (keys: readonly ProxyKeyId[]) => Promise<readonly ProxyKeyId[]>
  readonly log: Log
}

/**
 * Ends the running requests of keys that are revoked as compromised, here or in another process: looks at every change
 * whether a key whose requests are being served is among them. New requests are refused by the verifier; those that
 * it had let in by then are in flight when this looks.
 */
export class CompromisedKeys {
  readonly #options: CompromisedKeysOptions
  #looking: Promise<void> | undefined
  #lookAgain = false
  #retry: NodeJS.Timeout | undefined
  #closed = false
  #stopWatching: (() => void) | undefined

  constructor(options: CompromisedKeysOptions) {
    this.#options = options
  }

  start(): void {
    this.#stopWatching = this.#options.changes.watch(() => void this.#follow())
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stopWatching?.()
    clearTimeout(this.#retry)
    await this.#looking
  }

  /** One look at a time; a change during it asks for one more after it. */
  #follow(): Promise<void> {
    this.#lookAgain = true
    this.#looking ??= this.#lookUntilQuiet()
    return this.#looking
  }

  async #lookUntilQuiet(): Promise<void> {
    const { log } = this.#options
    while (this.#lookAgain) {
      this.#lookAgain = false
      try {
        await this.#look()
      } catch (error) {
        log.warn('compromised_keys.look_failed', errorFields(error))
        // The feed may have its answers meanwhile, over other connections, and tells of a change once.
        this.#lookLater()
      }
    }
    // In the same turn as the last look at the flag: a change in between would get no look of its own.
    this.#looking = undefined
  }

  #lookLater(): void {
    if (this.#closed) return
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => void this.#follow(), lookAgainMs).unref()
  }

  async #look(): Promise<void> {
    const { inFlight, find, log } = this.#options
    const keys = inFlight.keys()
    if (keys.size === 0) return
    const compromised = await find([...keys])
    if (compromised.length === 0) return
    const cut = inFlight.cutOffKeys(new Set(compromised))
    if (cut > 0) log.warn('compromised_keys.cut', { count: cut })
  }
}
