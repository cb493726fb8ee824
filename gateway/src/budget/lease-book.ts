import {
  type BudgetId,
  type Clock,
  type LeaseId,
  type NanoUsd,
  nanoUsd,
  type RandomBytes,
  uuidv7,
} from '@latchkey/shared'
import type { LeaseStanding } from './change-leases.ts'
import type { DatabaseClock } from './database-clock.ts'
import { Hold } from './hold.ts'
import { Lease } from './lease.ts'
import { remaining, type WindowFigures } from './window-figures.ts'

/** The leases of this process: one a budget that serves holds, and those whose time is over. */
export class LeaseBook {
  readonly #clock: Clock
  readonly #random: RandomBytes
  readonly #databaseClock: DatabaseClock
  readonly #current = new Map<BudgetId, Lease>()
  readonly #byId = new Map<LeaseId, Lease>()
  readonly #figures = new Map<BudgetId, WindowFigures>()

  constructor(clock: Clock, random: RandomBytes, databaseClock: DatabaseClock) {
    this.#clock = clock
    this.#random = random
    this.#databaseClock = databaseClock
  }

  /** Every lease that the database may know, those of closed windows too. */
  get leases(): Iterable<Lease> {
    return this.#byId.values()
  }

  get empty(): boolean {
    return this.#byId.size === 0
  }

  /** A hold on all of `budgets`, if a lease of each has enough to spare. Else nothing is taken of any. */
  take(budgets: readonly BudgetId[], amount: NanoUsd): Hold | null {
    const now = this.#databaseClock.now()
    const leases: Lease[] = []
    for (const budget of budgets) {
      const lease = this.#current.get(budget)
      if (lease === undefined || !lease.isUsable(now) || lease.spare < amount) return null
      leases.push(lease)
    }
    const usedAt = this.#clock.monotonic()
    for (const lease of leases) lease.take(amount, usedAt)
    return new Hold(amount, leases)
  }

  /** The lease that is to grow for this budget: the one in use, or a new one where its window is over. */
  leaseFor(budget: BudgetId): Lease {
    const known = this.#current.get(budget)
    if (known !== undefined && !this.#isOver(known)) return known
    const lease = new Lease(uuidv7<LeaseId>(this.#clock, this.#random), budget, this.#clock.monotonic())
    this.#current.set(budget, lease)
    this.#byId.set(lease.id, lease)
    return lease
  }

  /** The lease that serves this budget's holds, if there is one. */
  current(budget: BudgetId): Lease | undefined {
    return this.#current.get(budget)
  }

  /** Whether this lease serves its budget's holds. */
  isCurrent(lease: Lease): boolean {
    return this.#current.get(lease.budget) === lease && !this.#isOver(lease)
  }

  /** A budget's current window, as it was last seen. */
  figures(budget: BudgetId): WindowFigures | undefined {
    return this.#figures.get(budget)
  }

  /** The least that any of `budgets` has left, less what this process has in flight or not yet settled; null: none is known. */
  remaining(budgets: readonly BudgetId[]): NanoUsd | null {
    let least: bigint | null = null
    for (const budget of budgets) {
      const figures = this.#figures.get(budget)
      if (figures === undefined) continue
      const lease = this.#current.get(budget)
      const used =
        lease !== undefined && lease.window === figures.id
          ? lease.outstanding - lease.spare - lease.returning
          : 0n
      const left = remaining(figures) - (used > 0n ? used : 0n)
      if (least === null || left < least) least = left
    }
    return least === null ? null : nanoUsd(least > 0n ? least : 0n)
  }

  /** Takes over how things stand with some leases. */
  adopt(standings: readonly LeaseStanding[]): void {
    const now = this.#clock.monotonic()
    for (const { lease: id, row, window, isCurrent } of standings) {
      const lease = this.#byId.get(id)
      if (row !== null) lease?.adopt(row, now)
      else if (lease !== undefined && lease.version > 0n) lease.ended = true
      if (window !== null) this.#watch(window, lease, isCurrent)
      if (lease?.ended) this.#forget(lease)
    }
  }

  /** Takes over leases that the database has for this process. Those that only it knows have no holds. */
  takeOver(standings: readonly LeaseStanding[]): void {
    for (const { lease: id, row, window } of standings) {
      if (row === null || window === null || this.#byId.has(id)) continue
      const lease = new Lease(id, window.budget, this.#clock.monotonic())
      lease.spent = nanoUsd(row.granted - row.outstanding)
      this.#byId.set(id, lease)
    }
    this.adopt(standings)
  }

  /** Ends all leases but `known`, which are all that the database has for this process. */
  endAllBut(known: ReadonlySet<LeaseId>): void {
    for (const lease of [...this.#byId.values()])
      if (lease.version > 0n && !known.has(lease.id)) {
        lease.ended = true
        this.#forget(lease)
      }
  }

  /** Drops a lease of which nothing was ever granted, as far as is known. */
  drop(lease: Lease): void {
    if (lease.version === 0n) this.#forget(lease)
  }

  /** Drops every lease: the database no longer answers for any. Holds on them settle all the same. */
  dropAll(): number {
    const count = this.#byId.size
    for (const lease of this.#byId.values()) lease.ended = true
    this.#byId.clear()
    this.#current.clear()
    this.#figures.clear()
    return count
  }

  /** Whether its window is known not to be that of now: by the clock, or because another one has been told. */
  #isOver(lease: Lease): boolean {
    const current = this.#figures.get(lease.budget)
    return (
      lease.ended ||
      lease.hasClosed(this.#databaseClock.now()) ||
      (lease.window !== null && current !== undefined && current.id !== lease.window)
    )
  }

  #watch(figures: WindowFigures, lease: Lease | undefined, isCurrent: boolean): void {
    const known = this.#figures.get(figures.budget)
    // Revisions grow within a window: an answer that was overtaken is no news.
    if (known?.id === figures.id && known.revision > figures.revision) return
    if (lease?.window === figures.id) lease.watch(figures)
    // Which window is that of now, the database says. Not always a later one: its clock may have been set back.
    if (isCurrent || known === undefined || known.id === figures.id)
      this.#figures.set(figures.budget, figures)
  }

  #forget(lease: Lease): void {
    this.#byId.delete(lease.id)
    if (this.#current.get(lease.budget) !== lease) return
    this.#current.delete(lease.budget)
    this.#figures.delete(lease.budget)
  }
}
