import type { BudgetId, NanoUsd } from '@latchkey/shared'
import type { Lease } from './lease.ts'

/** What one attempt of a request may cost at the most, taken from one lease of each budget that it counts in. */
export class Hold {
  readonly amount: NanoUsd
  readonly leases: readonly Lease[]
  #ended = false

  constructor(amount: NanoUsd, leases: readonly Lease[]) {
    this.amount = amount
    this.leases = leases
  }

  /** Marks it as settled or given back. Throws where it was before: money would be counted twice. */
  end(): void {
    if (this.#ended) throw new Error('a hold was ended twice')
    this.#ended = true
  }
}

/** A refusal took nothing. */
export type HoldRefusal =
  /** The budget can never pay for this: even if all that is in flight cost nothing, `remaining` is less. */
  | { readonly kind: 'exhausted'; readonly budget: BudgetId; readonly remaining: NanoUsd }
  /** An administrator has paused the budget. */
  | { readonly kind: 'paused'; readonly budget: BudgetId }
  /** Other requests in flight hold what is left of `budget`; null: others were always faster. */
  | { readonly kind: 'in-flight'; readonly budget: BudgetId | null; readonly retryAfterMs: number }
  /** The database does not answer, and no lease is left. */
  | { readonly kind: 'unavailable' }
  /** Whoever waited for it has gone. */
  | { readonly kind: 'aborted' }

export type HoldDecision = { readonly kind: 'held'; readonly hold: Hold } | HoldRefusal
