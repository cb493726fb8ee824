import type { Clock } from '@latchkey/shared'

/**
 * The database's clock, which alone says in which window a hold falls: what it last told, plus the time since
 * then by our monotonic clock. Counted from when it was asked, so it runs ahead by a round trip at the most, and
 * a window is never thought open when it has closed.
 */
export class DatabaseClock {
  readonly #clock: Clock
  #offset = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes note of a reading `at` (milliseconds since the Unix epoch) that was asked for at `asked` (monotonic). */
  set(at: number, asked: number): void {
    this.#offset = at - asked
  }

  now(): number {
    return this.#offset + this.#clock.monotonic()
  }
}
