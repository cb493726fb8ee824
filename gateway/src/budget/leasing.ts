import { setTimeout as sleep, setImmediate as tick } from 'node:timers/promises'
import {
  type BudgetId,
  type Clock,
  type EpochId,
  errorFields,
  type LeaseId,
  type Log,
  type NanoUsd,
  nanoUsd,
} from '@latchkey/shared'
import type { BudgetTimes } from './budget-times.ts'
import { type Ask, changeLeases, type LeaseChange, type LeaseChangeResult } from './change-leases.ts'
import type { DatabaseClock } from './database-clock.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { HoldDecision } from './hold.ts'
import { sendInHalves } from './in-halves.ts'
import { type Judgement, judge } from './judge.ts'
import type { Lease } from './lease.ts'
import type { LeaseBook } from './lease-book.ts'
import { makeWindows } from './make-windows.ts'
import { leasesPerPage, readLeases } from './read-leases.ts'
import type { Recalls } from './recalls.ts'
import { inFlight, Refusals } from './refusals.ts'
import { type Parcel, Returns } from './returns.ts'
import type { Queryable } from './statement.ts'
import { Waiter } from './waiter.ts'

export interface LeasingOptions {
  readonly database: Queryable
  readonly book: LeaseBook
  readonly heartbeat: Heartbeat
  readonly databaseClock: DatabaseClock
  readonly recalls: Recalls
  readonly clock: Clock
  readonly log: Log
  readonly times: BudgetTimes
}

/** The most of each that one statement carries: beside many returns, as at midnight, needs are served all the same. */
const mostReturns = 256
const mostNeeds = 256
const mostRounds = 20
const appetiteLastsMs = 10_000
const firstPauseMs = 50
const longestPauseMs = 1_000

/**
 * This process's one conversation with the database about its leases. One statement at a time carries what all
 * waiting holds of the moment need and what goes back, so versions need no queue, and a reply that was lost is
 * found out by asking again.
 */
export class Leasing {
  readonly #options: LeasingOptions
  readonly #returns: Returns
  readonly #refusals: Refusals
  #waiters: Waiter[] = []
  /** Where room was made since the last statement was sent: its answer may not know. */
  readonly #madeRoom = new Set<bigint>()
  #reconciling = false
  #working: Promise<void> | null = null
  #failedSince: number | null = null
  #pauseMs = firstPauseMs
  #statements = 0
  #answers = 0

  constructor(options: LeasingOptions) {
    const { book, clock, times } = options
    this.#options = options
    this.#returns = new Returns(book, clock, times)
    this.#refusals = new Refusals(book, clock, times.refuseFor)
  }

  /** How many statements were sent for grants and returns. */
  get statements(): number {
    return this.#statements
  }

  /** Decides about a hold that no lease could serve: at once where that was just refused, else when it is granted. */
  wait(
    budgets: readonly BudgetId[],
    amount: NanoUsd,
    signal?: AbortSignal,
  ): HoldDecision | Promise<HoldDecision> {
    if (signal?.aborted) return { kind: 'aborted' }
    const refusal = this.#refusals.find(budgets, amount)
    if (refusal !== null) return refusal
    if (this.#isAway()) return { kind: 'unavailable' }
    const { answerWithin } = this.#options.times
    const waiter = new Waiter(budgets, amount, answerWithin, () => this.#answers, signal)
    this.#waiters.push(waiter)
    this.#work()
    return waiter.decision
  }

  /** A hold has ended: what it had may serve whoever waits. */
  freed(): void {
    for (const waiter of this.#waiters) this.#serve(waiter)
  }

  /** Others need money of this window. */
  recall(window: bigint): void {
    this.#returns.addRecalled(window)
    this.#work()
  }

  /** There may be room in this window again. */
  room(window: bigint): void {
    this.#refusals.forget(window)
    if (this.#working !== null) this.#madeRoom.add(window)
    this.#wake((waiter) => waiter.recalled?.has(window) === true)
  }

  /** The database is there, or there again: compares its leases with the book, and tries what has failed. */
  reconcile(): void {
    this.#failedSince = null
    this.#reconciling = true
    this.#wake(() => true)
  }

  /** The epoch was ended: no lease is left. */
  forget(): void {
    const count = this.#options.book.dropAll()
    this.#returns.clear()
    this.#refusals.clear()
    this.#options.log.warn('budget.leases_dropped', { count })
  }

  /** Returns what has not been used for long. To be called every now and then. */
  look(): void {
    this.#returns.addFrozen()
    this.#returns.addIdle()
    this.#work()
  }

  /** Refuses whoever waits and returns what no request holds, until `deadline` (monotonic). */
  async drain(deadline: number): Promise<void> {
    const { book, clock } = this.#options
    for (const waiter of this.#waiters) waiter.decide({ kind: 'unavailable' })
    const left = Math.max(0, deadline - clock.monotonic())
    const late = sleep(left, true, { ref: false })
    // What was granted to those who have left since, or in a reply that was lost, is known after a comparison only.
    this.#reconciling = !book.empty
    await this.#done(sleep(left / 2, true, { ref: false }))
    this.#returns.addAll()
    await this.#done(late)
    this.#reconciling = false
    this.#returns.clear()
  }

  /** Waits until there is nothing to do, or it is late. */
  async #done(late: Promise<boolean>): Promise<void> {
    this.#work()
    while (this.#working !== null) {
      if (await Promise.race([this.#working, late])) return
    }
  }

  #work(): void {
    if (this.#working !== null || !this.#hasWork()) return
    this.#working = this.#rounds().finally(() => {
      this.#working = null
      this.#work()
    })
  }

  #hasWork(): boolean {
    return this.#reconciling || !this.#returns.empty || this.#waiters.some((waiter) => waiter.asking)
  }

  async #rounds(): Promise<void> {
    do {
      // Whatever is asked for in this tick goes with it.
      await tick()
      try {
        await this.#round()
        this.#failedSince = null
        this.#pauseMs = firstPauseMs
      } catch (error) {
        await this.#failed(error)
      }
      this.#waiters = this.#waiters.filter((waiter) => !waiter.decided)
    } while (this.#hasWork())
  }

  async #failed(error: unknown): Promise<void> {
    if (this.#failedSince === null) this.#options.log.warn('budget.leasing_failed', errorFields(error))
    this.#failedSince ??= this.#options.clock.monotonic()
    await sleep(this.#pauseMs, undefined, { ref: false })
    this.#pauseMs = Math.min(longestPauseMs, this.#pauseMs * 2)
  }

  async #round(): Promise<void> {
    const { heartbeat, log } = this.#options
    if (!heartbeat.trusted) {
      await heartbeat.beat()
      if (!heartbeat.trusted) throw new Error('no heartbeat was answered')
    }
    if (this.#reconciling) await this.#compare()
    this.#returns.addFrozen()
    for (const waiter of this.#waiters) this.#serve(waiter)

    const { epoch } = heartbeat
    const parcels = new Set(this.#returns.take(mostReturns))
    const items = [...parcels, ...this.#asking(parcels)]
    try {
      await sendInHalves(
        items,
        (some) => this.#change(epoch, some),
        (item, error) => {
          log.error('budget.change_refused', {
            state: item instanceof Waiter ? 'need' : 'return',
            ...errorFields(error),
          })
          // Money whose return is refused stays where it is: leased. It is tried again when it is next due.
          if (item instanceof Waiter) item.decide({ kind: 'unavailable' })
          else parcels.delete(item)
        },
      )
    } finally {
      this.#returns.putBack(parcels)
    }
  }

  /** One statement, for these returns and those waiters. */
  async #change(epoch: EpochId, items: readonly (Parcel | Waiter)[]): Promise<void> {
    const { database, databaseClock, clock, heartbeat } = this.#options
    // Whatever there is to say is about leases that are gone.
    if (epoch !== heartbeat.epoch) return
    const asking = items.filter((item) => item instanceof Waiter).filter((waiter) => waiter.asking)
    const change: LeaseChange = {
      epoch,
      processes: heartbeat.processes,
      returns: items.flatMap((item) => (item instanceof Waiter ? [] : [item.given])),
      asks: this.#asksFor(asking),
      needs: asking.map(({ budgets, amount }) => ({ budgets, amount })),
    }
    if (change.returns.length === 0 && change.asks.length === 0) return
    this.#statements++
    this.#madeRoom.clear()
    const sent = clock.monotonic()
    const result = await changeLeases(database, change)
    this.#answers++
    if (epoch !== heartbeat.epoch) return
    if ('at' in result) databaseClock.set(result.at, sent)
    await this.#conclude(result, change, asking)
  }

  /** Page by page, so that no request waits for thousands of leases. The conversation is one, so none changes in between. */
  async #compare(): Promise<void> {
    const { book, database, heartbeat } = this.#options
    const { epoch } = heartbeat
    const known = new Set<LeaseId>()
    let after: LeaseId | null = null
    do {
      const { standings, last } = await readLeases(database, epoch, after, leasesPerPage)
      this.#answers++
      if (epoch !== heartbeat.epoch) break
      book.takeOver(standings)
      for (const { lease } of standings) known.add(lease)
      after = last
    } while (after !== null)
    this.#reconciling = false
    if (epoch === heartbeat.epoch) book.endAllBut(known)
  }

  async #conclude(result: LeaseChangeResult, change: LeaseChange, asking: readonly Waiter[]): Promise<void> {
    const { book, database, heartbeat } = this.#options
    switch (result.kind) {
      case 'done':
        book.adopt(result.standings)
        for (const waiter of asking) this.#answer(waiter)
        return
      case 'stale':
        book.adopt(result.standings)
        return
      case 'windowless':
        // A budget that does not exist has no window however often it is made.
        for (const waiter of asking) if (++waiter.rounds >= mostRounds) waiter.decide({ kind: 'unavailable' })
        await makeWindows(
          database,
          change.asks.map((ask) => ask.budget),
        )
        return
      case 'fenced':
        // The heartbeat finds the same, and begins a new epoch.
        await heartbeat.beat()
        return
      default:
        result satisfies never
    }
  }

  #serve(waiter: Waiter): void {
    if (waiter.decided) return
    const hold = this.#options.book.take(waiter.budgets, waiter.amount)
    if (hold !== null) waiter.decide({ kind: 'held', hold })
  }

  /** What becomes of a hold that was asked for. Nobody else has run since the reply came. */
  #answer(waiter: Waiter): void {
    this.#serve(waiter)
    if (waiter.decided) return
    const { book } = this.#options
    const verdict = judge(book, waiter.budgets, waiter.amount)
    switch (verdict.kind) {
      case 'fits':
        // Those before it stood in its way, or others were faster. Not for ever.
        if (++waiter.rounds < mostRounds) return
        waiter.decide(inFlight(null))
        return
      case 'paused':
      case 'exhausted':
        this.#remember([book.figures(verdict.budget)?.id].filter((id) => id !== undefined))
        waiter.decide(verdict)
        return
      case 'blocked':
        this.#blocked(waiter, verdict)
        return
      default:
        verdict satisfies never
    }
  }

  #blocked(waiter: Waiter, verdict: Extract<Judgement, { kind: 'blocked' }>): void {
    const { heartbeat, recalls, times } = this.#options
    const { windows, others } = verdict
    const refusal = inFlight(verdict.budget)
    if (!others) {
      this.#remember(windows)
      waiter.decide(refusal)
      return
    }
    if (!waiter.limited) waiter.limit(times.recallFor, refusal, () => this.#remember(windows))
    // Who made room since has told so, and tells nobody again.
    waiter.recalled = windows.some((window) => this.#madeRoom.has(window)) ? null : new Set(windows)
    recalls.send(windows, heartbeat.epoch)
  }

  /** That there was no room in these windows, unless there is since. */
  #remember(windows: readonly bigint[]): void {
    this.#refusals.remember(windows.filter((window) => !this.#madeRoom.has(window)))
  }

  /** For whom the next statement asks. It changes a lease once: what is on its way back comes first. */
  #asking(parcels: Iterable<Parcel>): readonly Waiter[] {
    const { book } = this.#options
    const returning = new Set([...parcels].map(({ lease }) => lease))
    const asking: Waiter[] = []
    for (const waiter of this.#waiters) {
      if (asking.length === mostNeeds) break
      if (waiter.asking && !waiter.budgets.some((budget) => returning.has(book.leaseFor(budget))))
        asking.push(waiter)
    }
    return asking
  }

  #asksFor(asking: readonly Waiter[]): readonly Ask[] {
    const budgets = new Set(asking.flatMap((waiter) => waiter.budgets))
    return [...budgets].map((budget) => this.#askOf(this.#options.book.leaseFor(budget)))
  }

  #askOf({ budget, id, version, spare, lastGrant }: Lease): Ask {
    const recent = lastGrant !== null && this.#options.clock.monotonic() - lastGrant.at < appetiteLastsMs
    return {
      budget,
      lease: id,
      version,
      spare: spare > 0n ? spare : nanoUsd(0n),
      appetite: nanoUsd(recent ? lastGrant.amount * 4n : 0n),
    }
  }

  #wake(chosen: (waiter: Waiter) => boolean): void {
    for (const waiter of this.#waiters) if (chosen(waiter)) waiter.recalled = null
    this.#work()
  }

  #isAway(): boolean {
    const { clock, heartbeat, times } = this.#options
    const since = this.#failedSince ?? heartbeat.failedSince
    return since !== null && clock.monotonic() - since >= times.answerWithin
  }
}
