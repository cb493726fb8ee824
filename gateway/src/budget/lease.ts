import { type BudgetId, type LeaseId, type NanoUsd, nanoUsd } from '@latchkey/shared'
import type { LeaseRow } from './change-leases.ts'
import { unleased, type WindowFigures } from './window-figures.ts'

const none = nanoUsd(0n)

/**
 * A lease as its process has it. What was granted is held by requests in flight, spent by those that are over
 * (recorded yet or not), on its way back, or spare. Only grants and returns change what is granted, so settling
 * in the database, which comes later, changes nothing here.
 */
export class Lease {
  readonly id: LeaseId
  readonly budget: BudgetId
  /** Counts grants and returns; 0 until the first grant is known. */
  version = 0n
  granted: NanoUsd = none
  held: NanoUsd = none
  spent: NanoUsd = none
  /** What the database counts as leased out for it: all that it has not yet seen settled. */
  outstanding: NanoUsd = none
  /** Sent back; nobody knows yet whether it has arrived. */
  returning: NanoUsd = none
  /** The window that it was granted in; null until the first grant is known. */
  window: bigint | null = null
  /** The end of that window by the database's clock; null: never; undefined: not known yet. */
  endsAt: number | null | undefined
  /** The database no longer answers for it: it was swept, released, returned or lost. */
  ended = false
  /** Its budget is paused, or more is out than its limit allows: what it has to spare must go back. */
  frozen = false
  /** When a hold was last taken, monotonic. */
  usedAt: number
  /** When it was last asked to be closed, monotonic. */
  closingAt = Number.NEGATIVE_INFINITY
  /** The last grant and when it came, monotonic. */
  lastGrant: { readonly amount: NanoUsd; readonly at: number } | null = null

  constructor(id: LeaseId, budget: BudgetId, now: number) {
    this.id = id
    this.budget = budget
    this.usedAt = now
  }

  /** What a new hold may take. Negative where the database has lost a grant. */
  get spare(): NanoUsd {
    return nanoUsd(this.granted - this.held - this.spent - this.returning)
  }

  /** What has been spent and is not settled in the database yet, as of the row that was last seen. */
  get unrecorded(): NanoUsd {
    const amount = this.spent - (this.granted - this.outstanding)
    return nanoUsd(amount > 0n ? amount : 0n)
  }

  /** Whether it serves new holds at `now` of the database's clock. */
  isUsable(now: number): boolean {
    return this.endsAt !== undefined && !this.ended && !this.frozen && !this.hasClosed(now)
  }

  /** Whether its window is over at `now` of the database's clock. */
  hasClosed(now: number): boolean {
    return typeof this.endsAt === 'number' && now >= this.endsAt
  }

  take(amount: NanoUsd, now: number): void {
    this.held = nanoUsd(this.held + amount)
    this.usedAt = now
  }

  giveBack(amount: NanoUsd): void {
    this.held = nanoUsd(this.held - amount)
  }

  settle(amount: NanoUsd, within: NanoUsd): void {
    this.held = nanoUsd(this.held - amount)
    this.spent = nanoUsd(this.spent + within)
  }

  /** What the row says. A statement that was sent for an older version can have no effect any more. */
  adopt(row: LeaseRow, now: number): void {
    this.window = row.window
    this.outstanding = row.outstanding
    if (row.state !== 'open') this.ended = true
    if (row.version === this.version) return
    if (row.granted > this.granted) this.lastGrant = { amount: nanoUsd(row.granted - this.granted), at: now }
    this.version = row.version
    this.granted = row.granted
    this.returning = none
  }

  /** What the row of its own window says. */
  watch(figures: WindowFigures): void {
    this.endsAt = figures.endsAt
    this.frozen = figures.paused || unleased(figures) < 0n
  }
}
