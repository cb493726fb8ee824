import { costOf, type LimitCost, usedOf } from '../../../gateway/src/limits/cost.ts'
import { sizeAhead } from '../../../gateway/src/limits/redis/ahead.ts'
import type { Booked } from '../../../gateway/src/limits/redis/booked.ts'
import type { Correction } from '../../../gateway/src/limits/redis/call.ts'
import { ScopeBook } from '../../../gateway/src/limits/redis/scope-book.ts'
import type { SimulatedRequest } from './simulated-request.ts'
import type { Tally } from './tally.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface SimulatedLimitsOptions {
  readonly clock: VirtualClock
  readonly tally: Tally
  readonly processes: number
}

// As in redis-rate-limiter.ts and deliveries.ts.
const chunkLifeMs = 1_000
const flushAfterMs = 100
const mostScopesPerCall = 100

/**
 * The calls to Redis of one process, by the gateway's own books and its own size of what is taken in advance. Redis
 * answers at once and grants everything: the limits of these scenes are wide enough.
 */
export class SimulatedLimits {
  readonly #options: SimulatedLimitsOptions
  readonly #books = new Map<string, ScopeBook>()
  readonly #open = new Set<ScopeBook>()
  #flushAt: number | null = null

  constructor(options: SimulatedLimitsOptions) {
    this.#options = options
  }

  take(request: SimulatedRequest): void {
    const { clock, tally, processes } = this.#options
    const now = clock.monotonic()
    const cost: LimitCost = { tokens: request.tokens, nanoUsd: 0 }
    const booked = this.#book(request)
    if (booked.length === 0) return
    for (const { book } of booked) book.demand.add(now)
    const buckets = booked.flatMap(({ limits }) => limits)
    if (buckets.every(({ stored, bucket }) => bucket?.has(costOf(stored.unit, cost), stored.limit, now))) {
      for (const { stored, bucket } of buckets) bucket?.use(costOf(stored.unit, cost))
      return
    }
    const ahead = sizeAhead(booked, cost, processes, now)
    const told: Correction[] = []
    for (const { book } of booked) book.collectCorrections(now, ahead > 0 ? 'all' : 'lapsed', told)
    tally.redisQuestions++
    tally.redisCalls++
    if (ahead === 0) return
    for (const { stored, bucket } of buckets)
      bucket?.keep(ahead * costOf(stored.unit, cost), stored.limit, 0, now + chunkLifeMs)
    for (const { book } of booked) this.#add(book)
  }

  settle(request: SimulatedRequest): void {
    const taken: LimitCost = { tokens: request.tokens, nanoUsd: 0 }
    const used: LimitCost = { tokens: request.tokensUsed, nanoUsd: 0 }
    for (const { book, limits } of this.#book(request)) {
      for (const { stored, bucket } of limits) {
        if (stored.unit === 'concurrency') continue
        const amount = usedOf(stored.unit, taken) - usedOf(stored.unit, used)
        if (amount !== 0) bucket?.correct(amount, stored.limit)
      }
      this.#add(book)
    }
  }

  /** Tells what came back, when it is time. */
  exchange(): void {
    const { clock, tally } = this.#options
    const now = clock.monotonic()
    if (this.#flushAt === null || now < this.#flushAt) return
    this.#flushAt = null
    const open = [...this.#open]
    this.#open.clear()
    for (let from = 0; from < open.length; from += mostScopesPerCall) {
      const told: Correction[] = []
      for (const book of open.slice(from, from + mostScopesPerCall))
        book.collectCorrections(now, 'lapsed', told)
      if (told.length > 0) tally.redisCalls++
    }
    for (const book of open) this.#add(book)
  }

  #book({ limits }: SimulatedRequest): readonly Booked[] {
    return limits.map((ask) => {
      const name = `${ask.scope.kind}:${ask.scope.id}`
      let book = this.#books.get(name)
      if (book === undefined) {
        book = new ScopeBook('scale', ask.scope)
        this.#books.set(name, book)
      }
      return { scope: ask.scope, book, limits: book.book(ask.limits) }
    })
  }

  #add(book: ScopeBook): void {
    if (!book.isOpen) return
    this.#open.add(book)
    this.#flushAt ??= this.#options.clock.monotonic() + flushAfterMs
  }
}
