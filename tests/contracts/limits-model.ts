import type { StoredLimit } from '@latchkey/shared'
import type { Limit } from '../../gateway/src/limits/limit.ts'

const periods = { minute: 60_000n, hour: 3_600_000n, day: 86_400_000n }

/** What a model decides: what is left of every limit, or which limit refuses and for how long. */
export type ModelDecision =
  | { readonly kind: 'taken'; readonly left: readonly number[] }
  | {
      readonly kind: 'refused'
      readonly scope: number
      readonly limit: Limit
      readonly retryAfterMs: number
    }

interface ModelLimit {
  readonly stored: StoredLimit
  /** Milliseconds. */
  readonly period: bigint
  /** In units times the period, so that each millisecond takes away exactly the limit. */
  used: bigint
}

/** Scopes by their index, their limits as exact fractions: what rate limits mean, without a thought of speed. */
export class LimitsModel {
  readonly #scopes: readonly (readonly ModelLimit[])[]

  constructor(scopes: readonly (readonly StoredLimit[])[]) {
    this.#scopes = scopes.map((limits) =>
      limits.map((stored) => ({
        stored,
        // A slot doesn't refill.
        period: stored.unit === 'concurrency' ? 1n : periods[stored.per],
        used: 0n,
      })),
    )
  }

  pass(milliseconds: number): void {
    for (const limit of this.#scopes.flat())
      if (limit.stored.unit !== 'concurrency') lower(limit, BigInt(milliseconds) * BigInt(limit.stored.limit))
  }

  take(scopes: readonly number[], tokens: number): ModelDecision {
    let refusal: (ModelDecision & { kind: 'refused' }) | null = null
    for (const scope of scopes) {
      for (const limit of this.#limits([scope])) {
        const retryAfterMs = wait(limit, cost(limit, tokens))
        if (retryAfterMs > (refusal?.retryAfterMs ?? 0))
          refusal = { kind: 'refused', scope, limit: limit.stored, retryAfterMs }
      }
    }
    if (refusal !== null) return refusal
    for (const limit of this.#limits(scopes)) limit.used += cost(limit, tokens) * limit.period
    return { kind: 'taken', left: this.#limits(scopes).map(left) }
  }

  settle(scopes: readonly number[], taken: number, used: number): void {
    for (const limit of this.#limits(scopes)) {
      if (limit.stored.unit === 'concurrency') lower(limit, 1n)
      if (limit.stored.unit === 'tokens') lower(limit, BigInt(taken - used) * limit.period)
    }
  }

  giveBack(scopes: readonly number[], taken: number): void {
    for (const limit of this.#limits(scopes)) lower(limit, cost(limit, taken) * limit.period)
  }

  #limits(scopes: readonly number[]): readonly ModelLimit[] {
    return scopes.flatMap((scope) => this.#scopes[scope] ?? [])
  }
}

function cost({ stored }: ModelLimit, tokens: number): bigint {
  return stored.unit === 'tokens' ? BigInt(tokens) : 1n
}

function lower(limit: ModelLimit, by: bigint): void {
  limit.used = by > limit.used ? 0n : limit.used - by
}

/** Milliseconds until what is used leaves room for `wanted`, or for a full limit's worth of it. */
function wait({ stored, period, used }: ModelLimit, wanted: bigint): number {
  const full = BigInt(stored.limit)
  const missing = used + (wanted < full ? wanted : full) * period - full * period
  if (missing <= 0n) return 0
  return stored.unit === 'concurrency' ? 1000 : Number((missing + full - 1n) / full)
}

function left({ stored, period, used }: ModelLimit): number {
  const whole = BigInt(stored.limit) - (used + period - 1n) / period
  return whole < 0n ? 0 : Number(whole)
}
