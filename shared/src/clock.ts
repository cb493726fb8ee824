import { randomBytes } from 'node:crypto'

/** Where time comes from. An argument everywhere, so that tests can freeze or step it. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. It may jump. */
  now(): number
  /** Milliseconds since some fixed moment of this process. It never goes back. */
  monotonic(): number
}

/** Where randomness comes from: `size` bytes of it, cryptographically secure outside tests. */
export type RandomBytes = (size: number) => Uint8Array

export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

export const systemRandom: RandomBytes = (size) => randomBytes(size)
