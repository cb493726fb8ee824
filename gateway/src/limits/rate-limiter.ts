import type { ScopeKind } from '@latchkey/shared'
import type { Limit } from './limit.ts'

/** Who has limits: `policy` is a segment that requests of a key name for themselves. */
export type LimitScopeKind = ScopeKind | 'policy'

/** Whose requests a limit counts. */
export interface LimitScope {
  /** All scopes of one request are of one organization. */
  readonly organizationId: string
  readonly kind: LimitScopeKind
  readonly id: string
}

/** One scope that a request counts in, and the limits that it has now. */
export interface LimitAsk {
  readonly scope: LimitScope
  /** Each unit and period at most once, positive integers. */
  readonly limits: readonly Limit[]
}

/** One limit as it was when a decision was made, with what the decision took. */
export interface LimitState {
  readonly scope: LimitScope
  readonly limit: Limit
  /** What is left, in whole requests, tokens, nano-dollars or slots; 0 while there is a debt. */
  readonly remaining: number
  /** Milliseconds until all of it is there again, if nothing more is taken; null for slots, since nobody knows. */
  readonly fullAfterMs: number | null
}

/** What one request has taken. It is ended once, in one of the two ways; a second time throws. */
export interface LimitGrant {
  /**
   * The request was sent and used `tokens` and `nanoUsd` (null: what was taken): frees its slots, charges the rest or
   * gives back what was too much.
   */
  settle(tokens: number | null, nanoUsd?: number | null): void
  /** The request was not sent: gives everything back. */
  giveBack(): void
  /** Takes out what was taken of scopes of one kind, to be ended by itself. */
  split(kind: LimitScopeKind): LimitGrant
}

export interface LimitTaken {
  readonly kind: 'taken'
  readonly grant: LimitGrant
  /** Every limit, in the order of the asks. */
  readonly state: readonly LimitState[]
}

/** A refusal took nothing. It names the limit that lasts longest. */
export interface LimitRefusal {
  readonly kind: 'refused'
  readonly scope: LimitScope
  readonly limit: Limit
  /** Above 0: when the request would be admitted if nobody else asks; a guess where it waits for others to end. */
  readonly retryAfterMs: number
  /** Every limit, in the order of the asks. */
  readonly state: readonly LimitState[]
}

export type LimitDecision = LimitTaken | LimitRefusal

/**
 * Rate limits. `requests`, `tokens` and `nano-usd` are full at first, hold as much as their limit says and refill evenly over
 * their period; `concurrency` counts what is in flight in its scope.
 */
export interface RateLimiter {
  /**
   * Takes one request, `tokens` tokens, `nanoUsd` (whole numbers: the most that the request can use and cost; 0 by
   * default) and one slot of every limit in `asks`, or nothing at all. More than a limit can hold is taken from a full
   * one, which is then in debt. While a limit is in debt it refuses even requests of no tokens. Each scope stands in
   * `asks` at most once. Decided at once where nobody else has to be asked. Throws RangeError for what is no such number.
   */
  take(asks: readonly LimitAsk[], tokens: number, nanoUsd?: number): LimitDecision | Promise<LimitDecision>
}
