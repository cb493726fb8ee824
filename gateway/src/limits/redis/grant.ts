import { checkTokens, costOf } from '../cost.ts'
import type { LimitGrant } from '../rate-limiter.ts'
import type { Booked } from './booked.ts'

/** What one request has taken, of Redis or of what was taken there in advance. */
export class RedisGrant implements LimitGrant {
  readonly #booked: readonly Booked[]
  readonly #id: string
  readonly #tokens: number
  readonly #ended: (booked: readonly Booked[], slotsFreed: boolean) => void
  #isEnded = false

  /** `ended` is told once, when the books have all of it. */
  constructor(
    booked: readonly Booked[],
    id: string,
    tokens: number,
    ended: (booked: readonly Booked[], slotsFreed: boolean) => void,
  ) {
    this.#booked = booked
    this.#id = id
    this.#tokens = tokens
    this.#ended = ended
  }

  settle(tokens: number): void {
    const slotsFreed = this.#end()
    try {
      checkTokens(tokens)
      if (tokens !== this.#tokens) this.#correct((unit) => (unit === 'tokens' ? this.#tokens - tokens : 0))
    } finally {
      this.#ended(this.#booked, slotsFreed)
    }
  }

  giveBack(): void {
    const slotsFreed = this.#end()
    this.#correct((unit) => costOf(unit, this.#tokens))
    this.#ended(this.#booked, slotsFreed)
  }

  #end(): boolean {
    if (this.#isEnded) throw new Error('a grant of rate limits was ended twice')
    this.#isEnded = true
    let slotsFreed = false
    for (const { book } of this.#booked) slotsFreed = book.end(this.#id) || slotsFreed
    return slotsFreed
  }

  #correct(amountOf: (unit: 'requests' | 'tokens') => number): void {
    for (const { limits } of this.#booked) {
      for (const { stored, bucket } of limits) {
        if (bucket === null || stored.unit === 'concurrency') continue
        const amount = amountOf(stored.unit)
        if (amount !== 0) bucket.correct(amount, stored.limit)
      }
    }
  }
}
