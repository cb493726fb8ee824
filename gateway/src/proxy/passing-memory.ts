import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** So much of a body passes before its memory is our business: small ones are collected with all else. */
const largeBody = 2 ** 20
const collectEvery = 16 * 2 ** 20

// Of all bodies together, as is the memory.
let passed = 0
let collect: ((options: { readonly type: 'minor' }) => void) | null = null

/**
 * Has the chunks of large bodies collected while they pass. To V8 each is a small object, so that it lets 64 MiB of
 * them lie before it looks. `bytes` more have passed of a body of which that makes `sofar`.
 */
export function passedBytes(bytes: number, sofar: number): void {
  if (sofar < largeBody) return
  passed += bytes
  if (passed < collectEvery) return
  passed = 0
  collect ??= exposedCollector()
  collect({ type: 'minor' })
}

/** V8's own. As a flag of the process it would cost every start 50 ms: Node's built-in code cache fits no other flags. */
function exposedCollector(): (options: { readonly type: 'minor' }) => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}
