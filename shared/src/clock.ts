import { randomBytes, randomFillSync } from 'node:crypto'

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

// Ids and salts come from a pool, which is 30 times cheaper; longer values, and so every key, straight from the system.
const largestPooled = 16
const pool = new Uint8Array(8192)
let next = pool.length

export const systemRandom: RandomBytes = (size) => {
  if (size > largestPooled) return randomBytes(size)
  if (next + size > pool.length) {
    randomFillSync(pool)
    next = 0
  }
  const bytes = pool.slice(next, next + size)
  // Given out once, and nowhere else from then on. So few bytes are overwritten sooner than `fill` is called.
  for (let index = next; index < next + size; index++) pool[index] = 0
  next += size
  return bytes
}
