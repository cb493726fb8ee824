/** So much of a body passes before its memory is our business: small ones are collected with all else. */
const largeBody = 2 ** 20
const collectEvery = 16 * 2 ** 20

// Of all bodies together, as is the memory.
let passed = 0

/**
 * Has the chunks of large bodies collected while they pass. To V8 each is a small object, so that it lets 64 MiB of
 * them lie before it looks. `bytes` more have passed of a body of which that makes `sofar`. Needs `--expose-gc`;
 * without it, memory grows by those 64 MiB for a while.
 */
export function passedBytes(bytes: number, sofar: number): void {
  if (sofar < largeBody) return
  passed += bytes
  if (passed < collectEvery) return
  passed = 0
  globalThis.gc?.({ type: 'minor' })
}
