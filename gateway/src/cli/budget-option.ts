import { type BudgetLimitWire, budgetLimitWire, type ScopeBudgetWire } from '@latchkey/shared'
import { InvalidArgumentError } from 'commander'
import { dollars } from './dollars.ts'

/** How a budget is written, for help texts. */
export const budgetSyntax = '<amount[/period]>'

/** `4`, `2.50/day`: dollars for each window of a period, `total` by default. Null for anything else. */
export function parseBudget(text: string): BudgetLimitWire | null {
  const [amount = '', period = 'total', ...more] = text.split('/')
  const parsed = budgetLimitWire.safeParse({ limitUsd: amount, period })
  return parsed.success && more.length === 0 ? parsed.data : null
}

/** What `parseBudget` takes, for people whose text it did not take. */
export const budgetShape =
  'dollars and a period, like 4, 2.50/day, 20/week or 100/month (total by default; at most nine decimals)'

/** For an option that may be given several times, once for each period. */
export function collectBudgets(
  text: string,
  before: readonly BudgetLimitWire[] | undefined,
): BudgetLimitWire[] {
  const budget = parseBudget(text)
  if (budget === null) throw new InvalidArgumentError(`It must be ${budgetShape}.`)
  if (before?.some((each) => each.period === budget.period))
    throw new InvalidArgumentError(`There is another budget for ${budget.period} before it.`)
  return [...(before ?? []), budget]
}

/** Budgets in one cell: `$1.50 left of $4.00, $2.00 left of $2.00 a day (paused)`. Null: there are none. */
export function describeBudgets(budgets: readonly ScopeBudgetWire[]): string | null {
  if (budgets.length === 0) return null
  return budgets
    .map(({ limitUsd, remainingUsd, period, status }) => {
      const window = period === 'total' ? '' : ` a ${period}`
      return `${dollars(remainingUsd)} left of ${dollars(limitUsd)}${window}${status === 'paused' ? ' (paused)' : ''}`
    })
    .join(', ')
}
