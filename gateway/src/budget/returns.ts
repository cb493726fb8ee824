import { type Clock, nanoUsd } from '@latchkey/shared'
import type { BudgetTimes } from './budget-times.ts'
import type { Return } from './change-leases.ts'
import type { Lease } from './lease.ts'
import type { LeaseBook } from './lease-book.ts'
import { unleased } from './window-figures.ts'

/** How a lease is to be returned. */
interface Due {
  /** It is done with, once no request holds it. */
  readonly close: boolean
  /** Somebody waits for what comes back. */
  readonly announced: boolean
}

/** What a statement returns of one lease. */
export interface Parcel {
  readonly lease: Lease
  readonly due: Due
  readonly given: Return
}

/** What is to go back to the database with its next statement. */
export class Returns {
  readonly #book: LeaseBook
  readonly #clock: Clock
  readonly #times: BudgetTimes
  readonly #due = new Map<Lease, Due>()

  constructor(book: LeaseBook, clock: Clock, times: BudgetTimes) {
    this.#book = book
    this.#clock = clock
    this.#times = times
  }

  get empty(): boolean {
    return this.#due.size === 0
  }

  clear(): void {
    this.#due.clear()
  }

  /** Others need money of this window: returns what is to spare of it. */
  addRecalled(window: bigint): void {
    for (const lease of this.#book.leases)
      if (lease.window === window && lease.spare > 0n) this.#add(lease, { close: false, announced: true })
  }

  /** Returns what is to spare in windows that are paused or have more out than their limit. */
  addFrozen(): void {
    for (const lease of this.#book.leases)
      if (lease.frozen && lease.spare > 0n) this.#add(lease, { close: false, announced: false })
  }

  /** Returns what has not been used for long and what is left in windows that have closed. */
  addIdle(): void {
    const now = this.#clock.monotonic()
    for (const lease of [...this.#book.leases]) {
      const over = !this.#book.isCurrent(lease)
      const idleFor = now - lease.usedAt
      if (lease.version === 0n) {
        if (over || idleFor >= this.#times.trustFor) this.#book.drop(lease)
        continue
      }
      const closes = lease.held === 0n && (over || idleFor >= this.#times.idle)
      const retries = now - lease.closingAt >= this.#times.beatEvery
      const idles = lease.spare > 0n && (over || idleFor >= this.#idleTime(lease))
      if (!idles && !(closes && retries)) continue
      if (closes) lease.closingAt = now
      this.#add(lease, { close: closes, announced: false })
    }
  }

  /** Returns everything that no request holds. */
  addAll(): void {
    for (const lease of this.#book.leases)
      if (lease.version > 0n) this.#add(lease, { close: lease.held === 0n, announced: false })
  }

  /**
   * Takes out what is due, to be sent now, up to `most`; what others wait for comes first. What it takes of a lease
   * can't be held meanwhile.
   */
  take(most: number): readonly Parcel[] {
    const parcels: Parcel[] = []
    const urgent = [...this.#due].sort(
      ([, one], [, other]) => Number(other.announced) - Number(one.announced),
    )
    for (const [lease, due] of urgent) {
      if (parcels.length === most) break
      this.#due.delete(lease)
      const given = returnOf(lease, due)
      if (given !== null) parcels.push({ lease, due, given })
    }
    return parcels
  }

  /** What did not arrive, or may not have, is sent again, as of the same version: it can't arrive twice. */
  putBack(parcels: Iterable<Parcel>): void {
    for (const { lease, due } of parcels) if (lease.returning > 0n && !lease.ended) this.#add(lease, due)
  }

  #add(lease: Lease, due: Due): void {
    const known = this.#due.get(lease)
    this.#due.set(lease, {
      close: due.close || known?.close === true,
      announced: due.announced || known?.announced === true,
    })
  }

  #idleTime(lease: Lease): number {
    const figures = this.#book.figures(lease.budget)
    const scarce = figures !== undefined && unleased(figures) * 10n < figures.limit
    return scarce ? this.#times.idleWhenScarce : this.#times.idle
  }
}

/** All that is to spare, with what was sent before and may not have arrived. */
function returnOf(lease: Lease, { close, announced }: Due): Return | null {
  const amount = nanoUsd(lease.returning + (lease.spare > 0n ? lease.spare : 0n))
  const closes = close && lease.held === 0n
  if (lease.ended || lease.window === null || (amount === 0n && !closes)) return null
  lease.returning = amount
  const { id, window, version } = lease
  return { lease: id, window, version, amount, close: closes, announced }
}
