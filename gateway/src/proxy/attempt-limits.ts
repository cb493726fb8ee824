import type { LimitDecision, LimitGrant, RateLimiter } from '../limits/rate-limiter.ts'
import type { AttemptEnd } from './attempt-end.ts'
import type { Candidate } from './authorize.ts'
import { refuseByLimit } from './limit-refusal.ts'
import type { Refusal } from './refusal.ts'
import type { Spending } from './spending.ts'
import { tokensUsed } from './tokens-used.ts'

/** What an attempt has taken of its provider key's rate limits. */
export interface AttemptGrant {
  readonly kind: 'taken'
  /** Charges what the attempt has used, by how it ended; null: it was not sent, and gives everything back. Once. */
  end(end: AttemptEnd | null): void
}

/** For a provider key without limits. */
export const unlimitedAttempt: AttemptGrant = Object.freeze({ kind: 'taken', end: () => {} })

/**
 * The rate limits of the provider keys that one request is sent with. What the first attempt takes was asked for with
 * the key's own limits; each further one asks for its provider key's alone.
 */
export class AttemptLimits {
  readonly #limiter: RateLimiter
  readonly #spending: Spending
  #first: LimitGrant | null

  /** `first`: taken already for the first attempt; null where its provider key has no limits. */
  constructor(limiter: RateLimiter, spending: Spending, first: LimitGrant | null) {
    this.#limiter = limiter
    this.#spending = spending
    this.#first = first
  }

  /** Takes one attempt with `candidate`. At once, unless somebody else has to be asked. */
  take(candidate: Candidate): AttemptGrant | Refusal | Promise<AttemptGrant | Refusal> {
    if (candidate.providerKey.limits.length === 0) return unlimitedAttempt
    const first = this.#first
    if (first !== null) {
      this.#first = null
      return this.#grant(candidate, first)
    }
    const decision = this.#limiter.take(candidate.asks.alone, this.#spending.tokens(candidate))
    return decision instanceof Promise
      ? decision.then((late) => this.#decide(candidate, late))
      : this.#decide(candidate, decision)
  }

  /** Gives back what no attempt has taken. */
  close(): void {
    this.#first?.giveBack()
    this.#first = null
  }

  #decide(candidate: Candidate, decision: LimitDecision): AttemptGrant | Refusal {
    return decision.kind === 'taken' ? this.#grant(candidate, decision.grant) : refuseByLimit(decision)
  }

  #grant(candidate: Candidate, grant: LimitGrant): AttemptGrant {
    return {
      kind: 'taken',
      end: (end) => {
        const used = end === null ? 'unsent' : tokensUsed(end)
        if (used === 'unsent') grant.giveBack()
        // What was taken, or of a form what it was found to ask for at its end.
        else grant.settle(used ?? this.#spending.tokens(candidate))
      },
    }
  }
}
