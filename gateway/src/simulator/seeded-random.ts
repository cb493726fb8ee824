import type { RandomBytes } from '@latchkey/shared'

/**
 * Bytes that depend on `seed` alone, so that a run can be repeated. Not secure: for simulations only.
 * The generator is mulberry32 (Tommy Ettinger, public domain).
 */
export function seededRandom(seed: number): RandomBytes {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return (size) => {
    const bytes = Buffer.alloc(size)
    for (let offset = 0; offset < size; offset++) bytes[offset] = next() >>> 24
    return bytes
  }
}
