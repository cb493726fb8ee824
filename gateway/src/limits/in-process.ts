import type { Clock } from '@latchkey/shared'
import { checkCost, costOf, type LimitCost, slotRetryAfterMs, usedOf } from './cost.ts'
import type {
  LimitAsk,
  LimitDecision,
  LimitGrant,
  LimitRefusal,
  LimitScope,
  LimitScopeKind,
  LimitState,
  RateLimiter,
} from './rate-limiter.ts'
import { type CountedLimit, ScopeLimits } from './scope-limits.ts'
import { unlimited } from './unlimited.ts'

/** Scopes that each call looks at for something to forget. More than a call can add, so the map stays small. */
const sweptPerAsk = 2

/** What one ask counts in. */
interface Counted {
  readonly scope: LimitScope
  readonly limits: ScopeLimits
  readonly counted: readonly CountedLimit[]
}

/** Limits in the memory of this process: what other processes admit is not counted. */
export class InProcessRateLimiter implements RateLimiter {
  readonly #clock: Clock
  readonly #scopes = new Map<string, ScopeLimits>()
  #sweep = this.#scopes.entries()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Scopes that are remembered: those that have something in flight or have not refilled, and some that may go. */
  get size(): number {
    return this.#scopes.size
  }

  take(asks: readonly LimitAsk[], tokens: number, nanoUsd = 0): LimitDecision {
    const cost = { tokens, nanoUsd }
    checkCost(cost)
    if (asks.every(({ limits }) => limits.length === 0)) return unlimited
    const now = Math.floor(this.#clock.monotonic())
    this.#forgetIdle(sweptPerAsk * asks.length, now)
    const counted = this.#count(asks, now)
    const refusal = refuse(counted, cost, now)
    if (refusal !== null) return refusal
    for (const { limits, counted: each } of counted) {
      limits.inFlight += 1
      for (const { stored, bucket } of each) bucket?.take(costOf(stored.unit, cost), now)
    }
    return { kind: 'taken', grant: new Grant(this.#clock, counted, cost), state: stateOf(counted) }
  }

  #count(asks: readonly LimitAsk[], now: number): readonly Counted[] {
    const counted: Counted[] = []
    for (const { scope, limits: stored } of asks) {
      if (stored.length === 0) continue
      const name = `${scope.organizationId}:${scope.kind}:${scope.id}`
      let limits = this.#scopes.get(name)
      if (limits === undefined) {
        limits = new ScopeLimits()
        this.#scopes.set(name, limits)
      }
      counted.push({ scope, limits, counted: limits.count(stored, now) })
    }
    return counted
  }

  #forgetIdle(most: number, now: number): void {
    for (let looked = 0; looked < most; looked++) {
      const { done, value } = this.#sweep.next()
      if (done === true) {
        this.#sweep = this.#scopes.entries()
        return
      }
      const [name, limits] = value
      if (limits.isIdle(now)) this.#scopes.delete(name)
    }
  }
}

class Grant implements LimitGrant {
  readonly #clock: Clock
  readonly #taken: LimitCost
  #counted: readonly Counted[]
  #ended = false

  constructor(clock: Clock, counted: readonly Counted[], taken: LimitCost) {
    this.#clock = clock
    this.#counted = counted
    this.#taken = taken
  }

  settle(tokens: number | null, nanoUsd: number | null = null): void {
    this.#end()
    const taken = this.#taken
    const used = { tokens: tokens ?? taken.tokens, nanoUsd: nanoUsd ?? taken.nanoUsd }
    checkCost(used)
    if (used.tokens === taken.tokens && used.nanoUsd === taken.nanoUsd) return
    const now = Math.floor(this.#clock.monotonic())
    for (const { counted } of this.#counted) {
      for (const { stored, bucket } of counted) {
        const more = usedOf(stored.unit, used) - usedOf(stored.unit, taken)
        if (more > 0) bucket?.take(more, now)
        else if (more < 0) bucket?.giveBack(-more, stored.limit, now)
      }
    }
  }

  giveBack(): void {
    this.#end()
    const now = Math.floor(this.#clock.monotonic())
    for (const { counted } of this.#counted) {
      for (const { stored, bucket } of counted)
        bucket?.giveBack(costOf(stored.unit, this.#taken), stored.limit, now)
    }
  }

  split(kind: LimitScopeKind): LimitGrant {
    const part = this.#counted.filter(({ scope }) => scope.kind === kind)
    if (part.length === 0) return unlimited.grant
    this.#counted = this.#counted.filter(({ scope }) => scope.kind !== kind)
    return new Grant(this.#clock, part, this.#taken)
  }

  #end(): void {
    if (this.#ended) throw new Error('a grant of rate limits was ended twice')
    this.#ended = true
    for (const { limits } of this.#counted) limits.inFlight -= 1
  }
}

/** The refusal by the limit that lasts longest, or null where all of them admit the request. */
function refuse(counted: readonly Counted[], cost: LimitCost, now: number): LimitRefusal | null {
  let refusal: Omit<LimitRefusal, 'state'> | null = null
  let longest = 0
  for (const { scope, limits, counted: each } of counted) {
    for (const { stored, bucket } of each) {
      const slotWait = limits.inFlight < stored.limit ? 0 : slotRetryAfterMs
      const wait = bucket === null ? slotWait : bucket.wait(costOf(stored.unit, cost), now)
      if (wait <= longest) continue
      longest = wait
      refusal = { kind: 'refused', scope, limit: stored, retryAfterMs: wait }
    }
  }
  return refusal === null ? null : { ...refusal, state: stateOf(counted) }
}

/** As of the moment at which its buckets were looked at last. */
function stateOf(counted: readonly Counted[]): readonly LimitState[] {
  const state: LimitState[] = []
  for (const { scope, limits, counted: each } of counted) {
    for (const { stored: limit, bucket } of each) {
      state.push(
        bucket === null
          ? { scope, limit, remaining: Math.max(0, limit.limit - limits.inFlight), fullAfterMs: null }
          : { scope, limit, remaining: bucket.remaining, fullAfterMs: bucket.fullAfterMs },
      )
    }
  }
  return state
}
