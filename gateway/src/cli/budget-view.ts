import type { BudgetWire } from '@latchkey/shared'
import { dollars } from './dollars.ts'
import { fields, table } from './table.ts'
import { exactTime, relativeTime } from './times.ts'

const kinds: readonly BudgetWire['scope']['kind'][] = ['organization', 'group', 'key', 'provider_key']
const periods: readonly BudgetWire['period'][] = ['day', 'week', 'month', 'total']

/** Budgets in a table, a line each: the widest scopes first, then by name. `now` is milliseconds since the epoch. */
export function budgetTable(budgets: readonly BudgetWire[], now: number): string {
  return table(
    ['id', 'scope', 'name', 'window', 'limit', 'spent', 'held', 'left', 'resets', 'status'],
    budgets
      .toSorted(inReadingOrder)
      .map((budget) => [
        budget.id,
        kindOf(budget),
        budget.scope.name,
        budget.period,
        dollars(budget.limitUsd),
        dollars(budget.spentUsd),
        dollars(budget.heldUsd),
        dollars(budget.remainingUsd),
        budget.resetsAt === null ? 'never' : relativeTime(budget.resetsAt, now),
        budget.status,
      ]),
  )
}

/** One budget, a field a line. */
export function budgetFields(budget: BudgetWire, now: number): string {
  return fields([
    ['id', budget.id],
    ['scope', `${kindOf(budget)} ${budget.scope.name ?? budget.scope.id}`],
    ['window', budget.period],
    ['status', budget.status],
    ['limit', dollars(budget.limitUsd)],
    ['spent', dollars(budget.spentUsd)],
    ['of it unsettled', dollars(budget.unsettledUsd)],
    ['of it overage', dollars(budget.overageUsd)],
    ['held', dollars(budget.heldUsd)],
    ['left', dollars(budget.remainingUsd)],
    ['thresholds', budget.thresholds.map((percent) => `${percent} %`).join(', ')],
    ['crossed', budget.crossed.map(({ percent, at }) => `${percent} % at ${at}`).join(', ')],
    ['window began', exactTime(budget.windowStart, now)],
    ['resets', budget.resetsAt === null ? 'never' : exactTime(budget.resetsAt, now)],
    ['created', exactTime(budget.createdAt, now)],
  ])
}

/** A budget in a sentence: `the month budget of group research`. */
export function budgetName(budget: BudgetWire): string {
  return `the ${budget.period} budget of ${kindOf(budget)} ${budget.scope.name ?? budget.scope.id}`
}

/** A kind of scope as the command line spells it. */
function kindOf({ scope }: BudgetWire): string {
  return scope.kind === 'provider_key' ? 'provider key' : scope.kind
}

function inReadingOrder(one: BudgetWire, other: BudgetWire): number {
  return (
    kinds.indexOf(one.scope.kind) - kinds.indexOf(other.scope.kind) ||
    (one.scope.name ?? '').localeCompare(other.scope.name ?? '') ||
    one.scope.id.localeCompare(other.scope.id) ||
    periods.indexOf(one.period) - periods.indexOf(other.period)
  )
}
