import { checkCost, costOf, type LimitCost, usedOf } from '../cost.ts'
import type { RefillingLimit } from '../limit.ts'
import type { LimitGrant, LimitScopeKind } from '../rate-limiter.ts'
import { unlimited } from '../unlimited.ts'
import type { Booked } from './booked.ts'

/** What one request has taken, of Redis or of what was taken there in advance. */
export class RedisGrant implements LimitGrant {
  #booked: readonly Booked[]
  readonly #id: string
  readonly #taken: LimitCost
  readonly #ended: (booked: readonly Booked[], slotsFreed: boolean) => void
  #isEnded = false

  /** `ended` is told once, when the books have all of it. */
  constructor(
    booked: readonly Booked[],
    id: string,
    taken: LimitCost,
    ended: (booked: readonly Booked[], slotsFreed: boolean) => void,
  ) {
    this.#booked = booked
    this.#id = id
    this.#taken = taken
    this.#ended = ended
  }

  settle(tokens: number | null, nanoUsd: number | null = null): void {
    const slotsFreed = this.#end()
    const used = { tokens: tokens ?? this.#taken.tokens, nanoUsd: nanoUsd ?? this.#taken.nanoUsd }
    try {
      checkCost(used)
      this.#correct((unit) => usedOf(unit, this.#taken) - usedOf(unit, used))
    } finally {
      this.#ended(this.#booked, slotsFreed)
    }
  }

  giveBack(): void {
    const slotsFreed = this.#end()
    this.#correct((unit) => costOf(unit, this.#taken))
    this.#ended(this.#booked, slotsFreed)
  }

  split(kind: LimitScopeKind): LimitGrant {
    const part = this.#booked.filter(({ scope }) => scope.kind === kind)
    if (part.length === 0) return unlimited.grant
    this.#booked = this.#booked.filter(({ scope }) => scope.kind !== kind)
    return new RedisGrant(part, this.#id, this.#taken, this.#ended)
  }

  #end(): boolean {
    if (this.#isEnded) throw new Error('a grant of rate limits was ended twice')
    this.#isEnded = true
    let slotsFreed = false
    for (const { book } of this.#booked) slotsFreed = book.end(this.#id) || slotsFreed
    return slotsFreed
  }

  #correct(amountOf: (unit: RefillingLimit['unit']) => number): void {
    for (const { limits } of this.#booked) {
      for (const { stored, bucket } of limits) {
        if (bucket === null || stored.unit === 'concurrency') continue
        const amount = amountOf(stored.unit)
        if (amount !== 0) bucket.correct(amount, stored.limit)
      }
    }
  }
}
