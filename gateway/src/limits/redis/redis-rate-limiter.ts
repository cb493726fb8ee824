import type { Clock, Log, RandomBytes } from '@latchkey/shared'
import { checkCost, costOf, type LimitCost } from '../cost.ts'
import type { LimitAsk, LimitDecision, LimitState, LimitTaken, RateLimiter } from '../rate-limiter.ts'
import { unlimited } from '../unlimited.ts'
import { sizeAhead } from './ahead.ts'
import { type Booked, limitsSlots, stateByAnswer, stateByBooks } from './booked.ts'
import { type Answer, callLimits, type LimitsCall, probeFor, type RedisClient } from './call.ts'
import { within } from './deadline.ts'
import { Deliveries, slotLeaseMs } from './deliveries.ts'
import { RedisGrant } from './grant.ts'
import { LocalShare } from './local-share.ts'
import { Outage } from './outage.ts'
import { questionOf } from './question.ts'
import { ScopeBook } from './scope-book.ts'

/** What takes longer counts as an outage: a request must not wait for limits any longer. */
const defaultDeadlineMs = 250
/** What is taken in advance is given back after this time. */
const chunkLifeMs = 1_000
/** Scopes that each call looks at for something to forget. More than a call can add, so the map stays small. */
const sweptPerAsk = 2

export interface RedisRateLimiterOptions {
  /** Ready or not; without an offline queue, so that a call fails where it can't be sent now. */
  readonly client: RedisClient
  /** What every key begins with: deployments with one Redis have each their own. */
  readonly namespace: string
  /** Live processes that share the limits, this one among them. */
  readonly instances: () => number
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  /** For one call to Redis; 250 ms by default. */
  readonly deadlineMs?: number
  /**
   * Redis' time in milliseconds, for tests that must step it: a server's clock can't be. Never otherwise, since
   * clocks of machines differ and limits are shared.
   */
  readonly redisTime?: () => number
}

/**
 * Limits that any number of processes share: one call to Redis takes all of a request's, or none. A busy key has some
 * taken in advance, and then most of its requests ask nobody. While Redis is away, or refuses to write, each process
 * admits its share by itself; it never rejects.
 */
export class RedisRateLimiter implements RateLimiter {
  readonly #options: RedisRateLimiterOptions
  readonly #books = new Map<string, ScopeBook>()
  readonly #local: LocalShare
  readonly #deliveries: Deliveries
  readonly #outage: Outage
  readonly #idPrefix: string
  #ids = 0
  #sweep = this.#books.entries()
  #probe: LimitsCall | null = null
  #calls = 0
  #decidedLocally = 0

  constructor(options: RedisRateLimiterOptions) {
    this.#options = options
    const { clock, log, random } = options
    this.#idPrefix = `${Buffer.from(random(9)).toString('base64url')}.`
    this.#local = new LocalShare(clock, () => this.#instances())
    this.#deliveries = new Deliveries((call) => this.#send(call), clock)
    this.#outage = new Outage({
      probe: async () => {
        if (this.#probe !== null) await this.#call(this.#probe)
      },
      restored: () => void this.#deliveries.renew(),
      clock,
      log,
    })
  }

  /** Scopes that are remembered: those with something in flight, or asked for of late, and some that may go. */
  get size(): number {
    return this.#books.size
  }

  /** Calls to Redis so far, those that nobody waits for among them. */
  get calls(): number {
    return this.#calls
  }

  /** How often it went over to deciding by itself. */
  get fallbacks(): number {
    return this.#outage.count
  }

  /** Requests that it decided by itself. */
  get decidedLocally(): number {
    return this.#decidedLocally
  }

  take(asks: readonly LimitAsk[], tokens: number, nanoUsd = 0): LimitDecision | Promise<LimitDecision> {
    const cost = { tokens, nanoUsd }
    checkCost(cost)
    if (asks.every(({ limits }) => limits.length === 0)) return unlimited
    if (this.#outage.lasts) return this.#decide(asks, cost)
    const now = this.#options.clock.monotonic()
    const booked = this.#book(asks, now)
    return this.#takeAhead(booked, cost, now) ?? this.#ask(asks, booked, cost, 'lapsed')
  }

  /** What its timers do: tells Redis what came back, and renews slots. Resolves when Redis has heard of it. */
  async refresh(): Promise<void> {
    await Promise.all([this.#deliveries.flush('lapsed'), this.#deliveries.renew()])
  }

  /** Gives back what was taken in advance. The client stays open. */
  async close(): Promise<void> {
    const told = this.#deliveries.flush('all')
    this.#deliveries.close()
    this.#outage.close()
    await told
  }

  #instances(): number {
    return Math.max(1, Math.floor(this.#options.instances()))
  }

  #book(asks: readonly LimitAsk[], now: number): readonly Booked[] {
    this.#forgetIdle(sweptPerAsk * asks.length, now)
    const booked: Booked[] = []
    for (const { scope, limits } of asks) {
      if (limits.length === 0) continue
      const name = `${scope.organizationId}:${scope.kind}:${scope.id}`
      let book = this.#books.get(name)
      if (book === undefined) {
        book = new ScopeBook(this.#options.namespace, scope)
        this.#books.set(name, book)
      }
      book.demand.add(now)
      booked.push({ scope, book, limits: book.book(limits) })
    }
    return booked
  }

  /** The decision by what was taken in advance, or null where that doesn't cover the request. */
  #takeAhead(booked: readonly Booked[], cost: LimitCost, now: number): LimitTaken | null {
    for (const { limits } of booked) {
      for (const { stored, bucket } of limits)
        if (!bucket?.has(costOf(stored.unit, cost), stored.limit, now)) return null
    }
    for (const { limits } of booked)
      for (const { stored, bucket } of limits) bucket?.use(costOf(stored.unit, cost))
    return this.#grant(booked, this.#newId(), cost, stateByBooks(booked, now))
  }

  async #ask(
    asks: readonly LimitAsk[],
    booked: readonly Booked[],
    cost: LimitCost,
    chunks: 'all' | 'lapsed',
  ): Promise<LimitDecision> {
    const now = this.#options.clock.monotonic()
    const id = this.#newId()
    const instances = this.#instances()
    const ahead = sizeAhead(booked, cost, instances, now)
    // A bucket has one chunk at a time.
    const returned = ahead > 0 ? 'all' : chunks
    const call = questionOf(booked, { id, cost, ahead, instances, chunks: returned, now })
    for (const { book } of booked) if (book.hasSlots) this.#deliveries.addSlots(book)
    if (ahead > 0) setAsking(booked, true)
    let answer: Answer
    try {
      answer = await this.#send(call)
    } catch {
      return this.#decide(asks, cost)
    } finally {
      if (ahead > 0) setAsking(booked, false)
    }
    if (answer.ahead > 0) this.#keepAhead(booked, cost, answer, now)
    const state = stateByAnswer(booked, answer, now)
    if (answer.refusing === null) return this.#grant(booked, id, cost, state)
    // What this process has in advance of a shared bucket may be what is missing.
    if (returned === 'lapsed' && haveChunks(booked)) return this.#ask(asks, booked, cost, 'all')
    const refusing = state[answer.refusing]
    if (refusing === undefined) return this.#decide(asks, cost)
    const { scope, limit } = refusing
    return { kind: 'refused', scope, limit, retryAfterMs: answer.retryAfterMs, state }
  }

  #keepAhead(booked: readonly Booked[], cost: LimitCost, { ahead, span }: Answer, now: number): void {
    for (const { book, limits } of booked) {
      for (const { stored, bucket } of limits)
        bucket?.keep(ahead * costOf(stored.unit, cost), stored.limit, span, now + chunkLifeMs)
      this.#deliveries.add(book)
    }
  }

  #grant(booked: readonly Booked[], id: string, cost: LimitCost, state: readonly LimitState[]): LimitTaken {
    for (const each of booked) {
      const hasSlot = limitsSlots(each)
      each.book.begin(id, hasSlot)
      if (hasSlot) this.#deliveries.addSlots(each.book)
    }
    return { kind: 'taken', grant: new RedisGrant(booked, id, cost, this.#ended), state }
  }

  readonly #ended = (booked: readonly Booked[], slotsFreed: boolean): void => {
    const books = booked.map(({ book }) => book)
    if (this.#outage.lasts) for (const book of books) book.drop()
    // The client may be back with its next request in a millisecond, at another process.
    else if (slotsFreed) void this.#deliveries.deliver(books, 'lapsed')
    for (const book of books) this.#deliveries.add(book)
  }

  #decide(asks: readonly LimitAsk[], cost: LimitCost): LimitDecision {
    this.#decidedLocally += 1
    return this.#local.take(asks, cost.tokens, cost.nanoUsd)
  }

  /** Its failure begins an outage. What comes too late has been counted all the same, to be on the safe side. */
  async #send(call: LimitsCall): Promise<Answer> {
    try {
      return await this.#call(call)
    } catch (error) {
      this.#probe = probeFor(call)
      if (this.#outage.begin(error)) for (const book of this.#books.values()) book.drop()
      throw error
    }
  }

  #call(call: LimitsCall): Promise<Answer> {
    this.#calls += 1
    const { client, redisTime, deadlineMs } = this.#options
    const times = { leaseMs: slotLeaseMs, now: redisTime?.() ?? null }
    return within(deadlineMs ?? defaultDeadlineMs, callLimits(client, call, times))
  }

  #newId(): string {
    this.#ids += 1
    return this.#idPrefix + this.#ids.toString(36)
  }

  #forgetIdle(most: number, now: number): void {
    for (let looked = 0; looked < most; looked++) {
      const { done, value } = this.#sweep.next()
      if (done === true) {
        this.#sweep = this.#books.entries()
        return
      }
      const [name, book] = value
      if (book.isIdle(now)) this.#books.delete(name)
    }
  }
}

function setAsking(booked: readonly Booked[], asking: boolean): void {
  for (const { limits } of booked)
    for (const { bucket } of limits) if (bucket !== null) bucket.asking = asking
}

function haveChunks(booked: readonly Booked[]): boolean {
  return booked.some(({ limits }) => limits.some(({ bucket }) => bucket?.hasChunk === true))
}
