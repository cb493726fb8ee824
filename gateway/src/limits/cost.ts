import type { Limit } from './limit.ts'

/** What a client is told to wait for a slot: requests last about as long, nobody knows. */
export const slotRetryAfterMs = 1_000

/** What one request may use: whole numbers. */
export interface LimitCost {
  readonly tokens: number
  readonly nanoUsd: number
}

/** What a request that may use `cost` takes of a limit of this unit. */
export function costOf(unit: Limit['unit'], cost: LimitCost): number {
  switch (unit) {
    case 'tokens':
      return cost.tokens
    case 'nano-usd':
      return cost.nanoUsd
    case 'requests':
    case 'concurrency':
      return 1
    default:
      return unit satisfies never
  }
}

/** What of a limit of this unit is known at a request's end only, and corrected then. */
export function usedOf(unit: Limit['unit'], cost: LimitCost): number {
  return unit === 'tokens' || unit === 'nano-usd' ? costOf(unit, cost) : 0
}

/** Throws RangeError. What is not a number would make a limit admit everything from then on. */
export function checkCost({ tokens, nanoUsd }: LimitCost): void {
  if (!Number.isInteger(tokens) || tokens < 0) throw new RangeError('tokens are a whole number')
  if (!Number.isInteger(nanoUsd) || nanoUsd < 0) throw new RangeError('nano-dollars are a whole number')
}
