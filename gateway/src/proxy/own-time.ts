import type { Clock } from '@latchkey/shared'

/** What one request takes of the gateway's own time: a stopwatch that rests while client or provider are waited for. */
export class OwnTime {
  readonly #clock: Clock
  #milliseconds = 0
  /** Since when it runs, monotonic; null: it rests. */
  #since: number | null

  /** Runs since `started`, monotonic milliseconds. */
  constructor(clock: Clock, started: number) {
    this.#clock = clock
    this.#since = started
  }

  get milliseconds(): number {
    return this.#milliseconds + (this.#since === null ? 0 : this.#clock.monotonic() - this.#since)
  }

  /** From here on somebody else is waited for. */
  rest(): void {
    this.#milliseconds = this.milliseconds
    this.#since = null
  }

  /** It is our turn again. */
  go(): void {
    this.#since ??= this.#clock.monotonic()
  }
}
