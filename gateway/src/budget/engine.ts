import { setTimeout as sleep } from 'node:timers/promises'
import {
  type BudgetId,
  type Clock,
  type EpochId,
  errorFields,
  type Log,
  type NanoUsd,
  nanoUsd,
  type RandomBytes,
} from '@latchkey/shared'
import type pg from 'pg'
import { type BudgetTimes, budgetTimes } from './budget-times.ts'
import { mostLimit } from './change-budget.ts'
import { DatabaseClock } from './database-clock.ts'
import { endEpoch, type LiveEpoch } from './epoch.ts'
import { Heartbeat } from './heartbeat.ts'
import { Hold, type HoldDecision } from './hold.ts'
import { LeaseBook } from './lease-book.ts'
import { Leasing } from './leasing.ts'
import type { BudgetMessage } from './message.ts'
import { Recalls } from './recalls.ts'
import { type Settlement, splitCost } from './settle.ts'
import { sweepLeases } from './sweep.ts'
import { type BeforeSweep, Sweeper } from './sweeper.ts'

export interface BudgetEngineOptions {
  readonly pool: pg.Pool
  /** A pool of one connection, for the heartbeat alone; a direct one, since it listens. Closed by whoever made it. */
  readonly heartbeatPool: pg.Pool
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  /** No other process can be alive on this database: what earlier ones left behind is swept at the start. */
  readonly alone: boolean
  readonly times?: Partial<BudgetTimes>
  readonly beforeSweep?: BeforeSweep
}

/** What Postgres is asked for instead of a greater amount, which it could not read: no budget has as much. */
const beyondEveryLimit = nanoUsd(mostLimit + 1n)

/**
 * Budgets as one process sees them. It leases parts of them from the database and spends those in memory, so a
 * hold is mostly a few additions; the database alone says how much may be leased.
 */
export class BudgetEngine {
  readonly #options: BudgetEngineOptions
  readonly #heartbeat: Heartbeat
  readonly #sweeper: Sweeper
  readonly #book: LeaseBook
  readonly #leasing: Leasing
  readonly #times: BudgetTimes
  #live: readonly LiveEpoch[] = []
  #timer: NodeJS.Timeout | null = null
  #closing = false

  constructor(options: BudgetEngineOptions) {
    const { pool, heartbeatPool, clock, random, log } = options
    const times = { ...budgetTimes, ...options.times }
    const databaseClock = new DatabaseClock(clock)
    this.#options = options
    this.#times = times
    this.#book = new LeaseBook(clock, random, databaseClock)
    this.#sweeper = new Sweeper({ database: pool, clock, log, times, beforeSweep: options.beforeSweep })
    const listener = {
      beaten: (live: readonly LiveEpoch[]) => this.#beaten(live),
      ended: () => this.#leasing.forget(),
      connected: () => this.#sweeper.forget(),
      heard: (message: BudgetMessage) => this.#heard(message),
    }
    this.#heartbeat = new Heartbeat({
      pool: heartbeatPool,
      databaseClock,
      clock,
      random,
      log,
      times,
      listener,
    })
    this.#leasing = new Leasing({
      database: pool,
      book: this.#book,
      heartbeat: this.#heartbeat,
      databaseClock,
      recalls: new Recalls({ database: pool, clock, log, every: times.recallFor }),
      clock,
      log,
      times,
    })
  }

  /** The epoch of now; another one, once this process was taken for dead. */
  get epoch(): EpochId {
    return this.#heartbeat.epoch
  }

  /** How many processes are alive on this database, this one among them, as of the last heartbeat. */
  get processes(): number {
    return this.#heartbeat.processes
  }

  /** All leases of this process, in sum: what the database has yet to see settled, and what requests hold. */
  get leased(): { readonly count: number; readonly outstanding: NanoUsd; readonly held: NanoUsd } {
    let count = 0
    let outstanding = 0n
    let held = 0n
    for (const lease of this.#book.leases) {
      count++
      outstanding += lease.outstanding
      held += lease.held
    }
    return { count, outstanding: nanoUsd(outstanding), held: nanoUsd(held) }
  }

  /** How many statements grants and returns have taken so far. */
  get statements(): number {
    return this.#leasing.statements
  }

  /** Begins an epoch. Throws the driver's error where the database can't be reached. */
  async start(): Promise<void> {
    await this.#heartbeat.start()
    if (this.#options.alone) await this.#sweeper.sweepOthers(this.#live, this.#heartbeat.epoch)
    this.#timer = setInterval(() => this.#leasing.look(), this.#times.lookEvery)
    this.#timer.unref()
  }

  /**
   * Holds `amount` of every one of `budgets` (each at most once) or of none, for one attempt of a request. Decided
   * at once where leases suffice, which is nearly always; a promise where one has to be fetched. While that is on
   * its way nothing is held, and where `signal` aborts, nothing is taken. What costs nothing needs no money.
   */
  hold(
    budgets: readonly BudgetId[],
    amount: NanoUsd,
    signal?: AbortSignal,
  ): HoldDecision | Promise<HoldDecision> {
    const asked = amount > mostLimit ? beyondEveryLimit : amount
    return this.holdNow(budgets, amount) ?? this.#leasing.wait(budgets, asked, signal)
  }

  /** As `hold`, for callers that would rather prepare for the wait: null where a lease has to be fetched. */
  holdNow(budgets: readonly BudgetId[], amount: NanoUsd): HoldDecision | null {
    if (budgets.length === 0 || amount <= 0n) return { kind: 'held', hold: new Hold(amount, []) }
    if (this.#closing) return { kind: 'unavailable' }
    const hold = this.#heartbeat.trusted ? this.#book.take(budgets, amount) : null
    return hold === null ? null : { kind: 'held', hold }
  }

  /**
   * Replaces a hold by what the attempt did cost. Returns what its record has to say, so that the batch writer
   * settles it in the database. Throws where the hold has ended before.
   */
  settle(hold: Hold, cost: NanoUsd): readonly Settlement[] {
    hold.end()
    const { within, beyond } = splitCost(hold.amount, cost)
    const settlements: Settlement[] = []
    for (const lease of hold.leases) {
      lease.settle(hold.amount, within)
      if (lease.window !== null) settlements.push({ window: lease.window, lease: lease.id, within, beyond })
    }
    this.#leasing.freed()
    return settlements
  }

  /** Ends a hold whose attempt was never sent. Throws where the hold has ended before. */
  giveBack(hold: Hold): void {
    hold.end()
    for (const lease of hold.leases) lease.giveBack(hold.amount)
    this.#leasing.freed()
  }

  /**
   * Takes no more holds, returns what is not held and ends the epoch, within `deadline` (monotonic). Records are to
   * be written before: what has not settled by now is left as unsettled.
   */
  async close(deadline: number): Promise<void> {
    this.#closing = true
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#leasing.drain(deadline)
    const late = sleep(Math.max(0, deadline - this.#options.clock.monotonic()), undefined, { ref: false })
    await Promise.race([this.#leave(), late])
  }

  /** The remainder of the tightest of `budgets` as it was last seen, less what this process has in flight; null: not seen yet. */
  remaining(budgets: readonly BudgetId[]): NanoUsd | null {
    return this.#book.remaining(budgets)
  }

  /** What this process has leased of `budget` and no request of its holds: set aside, and free to be spent. */
  idle(budget: BudgetId): NanoUsd {
    const lease = this.#book.current(budget)
    return lease === undefined ? nanoUsd(0n) : nanoUsd(lease.spare + lease.returning)
  }

  async #leave(): Promise<void> {
    const { log, pool } = this.#options
    await this.#heartbeat.close()
    await this.#sweeper.close()
    try {
      await endEpoch(pool, this.#heartbeat.epoch)
      await sweepLeases(pool)
    } catch (error) {
      // Whoever sweeps after us finds what we leave.
      log.warn('budget.epoch_left_open', errorFields(error))
    }
  }

  #beaten(live: readonly LiveEpoch[]): void {
    this.#live = live
    this.#sweeper.look(live, this.#heartbeat.epoch)
    this.#leasing.reconcile()
  }

  #heard(message: BudgetMessage): void {
    switch (message.kind) {
      case 'recall':
        if (message.from !== this.#heartbeat.epoch) this.#leasing.recall(message.window)
        break
      case 'room':
        this.#leasing.room(message.window)
        break
      case 'joined':
        if (message.from !== this.#heartbeat.epoch) this.#heartbeat.beatSoon()
        break
      default:
        message satisfies never
    }
  }
}
