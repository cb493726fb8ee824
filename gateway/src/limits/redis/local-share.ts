import type { Clock } from '@latchkey/shared'
import { InProcessRateLimiter } from '../in-process.ts'
import type { Limit } from '../limit.ts'
import type { LimitAsk, LimitDecision, LimitState, RateLimiter } from '../rate-limiter.ts'

/** One scope's limits, and what this process may admit of them. */
interface Share {
  readonly instances: number
  readonly limits: readonly Limit[]
}

/**
 * Limits counted in this process alone while nobody can be asked: each instance admits its share of a limit, one
 * request or token at the least. Answers speak of the whole limit and of what is left of the share.
 */
export class LocalShare implements RateLimiter {
  readonly #limiter: InProcessRateLimiter
  readonly #instances: () => number
  readonly #shares = new WeakMap<readonly Limit[], Share>()
  readonly #wholes = new WeakMap<Limit, Limit>()

  constructor(clock: Clock, instances: () => number) {
    this.#limiter = new InProcessRateLimiter(clock)
    this.#instances = instances
  }

  take(asks: readonly LimitAsk[], tokens: number, nanoUsd: number): LimitDecision {
    const decision = this.#limiter.take(
      asks.map(({ scope, limits }) => ({ scope, limits: this.#shareOf(limits) })),
      tokens,
      nanoUsd,
    )
    const state = decision.state.map((each): LimitState => ({ ...each, limit: this.#wholeOf(each.limit) }))
    return decision.kind === 'taken'
      ? { ...decision, state }
      : { ...decision, limit: this.#wholeOf(decision.limit), state }
  }

  #shareOf(limits: readonly Limit[]): readonly Limit[] {
    const instances = this.#instances()
    const known = this.#shares.get(limits)
    if (known?.instances === instances) return known.limits
    const shares = limits.map((whole): Limit => {
      const share = { ...whole, limit: Math.max(1, Math.floor(whole.limit / instances)) }
      this.#wholes.set(share, whole)
      return share
    })
    this.#shares.set(limits, { instances, limits: shares })
    return shares
  }

  #wholeOf(share: Limit): Limit {
    return this.#wholes.get(share) ?? share
  }
}
