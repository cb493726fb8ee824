/** Places in the queue, of one key each: no key can take more, so each gets its turn after one of every other. */
const mostWaiting = 16

/** Turns at something that serves one at a time, for keys that wait in a bounded queue. */
export class Turns {
  readonly #waitMs: number
  /** Who waits, by key, in order. */
  readonly #waiting = new Map<string, (granted: boolean) => void>()
  #taken = false

  /** `waitMs`: how long a turn is waited for, in milliseconds. */
  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  /**
   * Takes a turn, which `end` must end. False: `key` waits for one already, too many do, it took too long, or
   * `signal` was aborted.
   */
  take(key: string, signal: AbortSignal): Promise<boolean> | boolean {
    if (signal.aborted) return false
    if (!this.#taken) {
      this.#taken = true
      return true
    }
    if (this.#waiting.has(key) || this.#waiting.size >= mostWaiting) return false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const leave = () => decide(false)
    const late = setTimeout(leave, this.#waitMs)
    const decide = (granted: boolean) => {
      clearTimeout(late)
      signal.removeEventListener('abort', leave)
      this.#waiting.delete(key)
      resolve(granted)
    }
    signal.addEventListener('abort', leave)
    this.#waiting.set(key, decide)
    return promise
  }

  end(): void {
    const [next] = this.#waiting.values()
    if (next === undefined) this.#taken = false
    else next(true)
  }

  /** Nobody waits any longer. */
  clear(): void {
    for (const decide of [...this.#waiting.values()]) decide(false)
  }
}
