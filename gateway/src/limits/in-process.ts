import type { Clock } from '@latchkey/shared'
import { checkTokens, costOf, slotRetryAfterMs } from './cost.ts'
import type {
  LimitAsk,
  LimitDecision,
  LimitGrant,
  LimitRefusal,
  LimitScope,
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

  take(asks: readonly LimitAsk[], tokens: number): LimitDecision {
    checkTokens(tokens)
    if (asks.every(({ limits }) => limits.length === 0)) return unlimited
    const now = Math.floor(this.#clock.monotonic())
    this.#forgetIdle(sweptPerAsk * asks.length, now)
    const counted = this.#count(asks, now)
    const refusal = refuse(counted, tokens, now)
    if (refusal !== null) return refusal
    for (const { limits, counted: each } of counted) {
      limits.inFlight += 1
      for (const { stored, bucket } of each) bucket?.take(costOf(stored.unit, tokens), now)
    }
    return { kind: 'taken', grant: new Grant(this.#clock, counted, tokens), state: stateOf(counted) }
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
  readonly #counted: readonly Counted[]
  readonly #tokens: number
  #ended = false

  constructor(clock: Clock, counted: readonly Counted[], tokens: number) {
    this.#clock = clock
    this.#counted = counted
    this.#tokens = tokens
  }

  settle(tokens: number): void {
    this.#end()
    checkTokens(tokens)
    if (tokens === this.#tokens) return
    const now = Math.floor(this.#clock.monotonic())
    for (const { counted } of this.#counted) {
      for (const { stored, bucket } of counted) {
        if (stored.unit !== 'tokens' || bucket === null) continue
        if (tokens > this.#tokens) bucket.take(tokens - this.#tokens, now)
        else bucket.giveBack(this.#tokens - tokens, stored.limit, now)
      }
    }
  }

  giveBack(): void {
    this.#end()
    const now = Math.floor(this.#clock.monotonic())
    for (const { counted } of this.#counted) {
      for (const { stored, bucket } of counted)
        bucket?.giveBack(costOf(stored.unit, this.#tokens), stored.limit, now)
    }
  }

  #end(): void {
    if (this.#ended) throw new Error('a grant of rate limits was ended twice')
    this.#ended = true
    for (const { limits } of this.#counted) limits.inFlight -= 1
  }
}

/** The refusal by the limit that lasts longest, or null where all of them admit the request. */
function refuse(counted: readonly Counted[], tokens: number, now: number): LimitRefusal | null {
  let refusal: Omit<LimitRefusal, 'state'> | null = null
  let longest = 0
  for (const { scope, limits, counted: each } of counted) {
    for (const { stored, bucket } of each) {
      const slotWait = limits.inFlight < stored.limit ? 0 : slotRetryAfterMs
      const wait = bucket === null ? slotWait : bucket.wait(costOf(stored.unit, tokens), now)
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
