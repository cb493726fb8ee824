import type { Clock } from '@latchkey/shared'

/** A clock that the simulation turns. Whole milliseconds. */
export class VirtualClock implements Clock {
  #passed = 0

  now(): number {
    return Date.UTC(2026, 2, 1) + this.#passed
  }

  monotonic(): number {
    return this.#passed
  }

  goTo(passed: number): void {
    this.#passed = passed
  }
}
