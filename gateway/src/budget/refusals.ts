import type { BudgetId, Clock, NanoUsd } from '@latchkey/shared'
import type { HoldRefusal } from './hold.ts'
import { judge } from './judge.ts'
import type { LeaseBook } from './lease-book.ts'

/** What a client is told to wait where other requests hold what is left: they last about as long. */
const retryAfterMs = 1_000

/** The refusal of a hold for which there is no room in `budget`, or somewhere, while others are in flight. */
export function inFlight(budget: BudgetId | null): HoldRefusal {
  return { kind: 'in-flight', budget, retryAfterMs }
}

/** The windows in which a hold was just refused: for a moment the next one is refused without asking again. */
export class Refusals {
  readonly #book: LeaseBook
  readonly #clock: Clock
  readonly #lastMs: number
  readonly #until = new Map<bigint, number>()

  constructor(book: LeaseBook, clock: Clock, lastMs: number) {
    this.#book = book
    this.#clock = clock
    this.#lastMs = lastMs
  }

  remember(windows: readonly bigint[]): void {
    const now = this.#clock.monotonic()
    for (const [window, until] of this.#until) if (now >= until) this.#until.delete(window)
    for (const window of windows) this.#until.set(window, now + this.#lastMs)
  }

  /** There may be room in this window again. */
  forget(window: bigint): void {
    this.#until.delete(window)
  }

  clear(): void {
    this.#until.clear()
  }

  /** The refusal of this hold, where a window of its budgets refused one a moment ago and had no room for it then. */
  find(budgets: readonly BudgetId[], amount: NanoUsd): HoldRefusal | null {
    if (this.#until.size === 0 || !budgets.some((budget) => this.#isFresh(budget))) return null
    const verdict = judge(this.#book, budgets, amount)
    if (verdict.kind === 'fits') return null
    return verdict.kind === 'blocked' ? inFlight(verdict.budget) : verdict
  }

  #isFresh(budget: BudgetId): boolean {
    const figures = this.#book.figures(budget)
    return figures !== undefined && (this.#until.get(figures.id) ?? 0) > this.#clock.monotonic()
  }
}
