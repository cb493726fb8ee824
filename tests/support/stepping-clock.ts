import type { Clock } from '@latchkey/shared'

/** A clock that stands still until it is told to go on. */
export class SteppingClock implements Clock {
  #wall: number
  #monotonic = 1000

  constructor(startsAt = Date.parse('2026-03-01T12:00:00Z')) {
    this.#wall = startsAt
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  /** Both clocks go on by `milliseconds`. */
  step(milliseconds: number): void {
    this.#wall += milliseconds
    this.#monotonic += milliseconds
  }

  /** The wall clock alone is set, as NTP or a person does it. */
  stepWall(milliseconds: number): void {
    this.#wall += milliseconds
  }
}
