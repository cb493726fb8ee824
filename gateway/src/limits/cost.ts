import type { StoredLimit } from '@latchkey/shared'

/** What a client is told to wait for a slot: requests last about as long, nobody knows. */
export const slotRetryAfterMs = 1_000

/** What a request that may use `tokens` tokens takes of a limit of this unit. */
export function costOf(unit: StoredLimit['unit'], tokens: number): number {
  return unit === 'tokens' ? tokens : 1
}

/** Throws RangeError. Tokens that are not a number would make a limit admit everything from then on. */
export function checkTokens(tokens: number): void {
  if (!Number.isInteger(tokens) || tokens < 0) throw new RangeError('tokens are a whole number')
}
