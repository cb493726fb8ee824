import { type BudgetId, type NanoUsd, nanoUsd } from '@latchkey/shared'
import type { HoldRefusal } from './hold.ts'
import type { LeaseBook } from './lease-book.ts'
import { remaining, unleased } from './window-figures.ts'

export type Judgement =
  | Extract<HoldRefusal, { kind: 'exhausted' | 'paused' }>
  /** As far as is known, it can be granted. */
  | { readonly kind: 'fits' }
  /** What is left is leased: by others in some of these windows, or all by requests of this process. */
  | {
      readonly kind: 'blocked'
      readonly budget: BudgetId
      readonly windows: readonly bigint[]
      readonly others: boolean
    }

/** Why a hold that no lease serves could not be granted, by the windows as they were last seen. */
export function judge(book: LeaseBook, budgets: readonly BudgetId[], amount: NanoUsd): Judgement {
  const windows: bigint[] = []
  let first: BudgetId | undefined
  let others = false
  for (const budget of budgets) {
    const figures = book.figures(budget)
    if (figures === undefined) continue
    if (figures.paused) return { kind: 'paused', budget }
    const lease = book.current(budget)
    const own = lease !== undefined && lease.window === figures.id ? lease : null
    // What this process knows to be spent is on its way into the books: to wait for it would be in vain.
    const left = nanoUsd(remaining(figures) - (own?.unrecorded ?? 0n))
    if (amount > left) return { kind: 'exhausted', budget, remaining: left > 0n ? left : nanoUsd(0n) }
    const spare = own?.isUsable(Number.NEGATIVE_INFINITY) ? own.spare : 0n
    const free = unleased(figures)
    if (amount <= (free > 0n ? free : 0n) + spare) continue
    windows.push(figures.id)
    first ??= budget
    if (figures.leased > (own?.outstanding ?? 0n)) others = true
  }
  return first === undefined ? { kind: 'fits' } : { kind: 'blocked', budget: first, windows, others }
}
