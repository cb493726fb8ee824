import { z } from 'zod'
import { budgetPeriods } from '../database/tables.ts'
import { formatUsd, parseUsd } from '../money.ts'
import { timestamp } from './fields.ts'

/** An amount that was asked for, in the spelling of `formatUsd`. */
export const usdInput = z.string().transform((text, context) => {
  const amount = parseUsd(text)
  if (amount !== null) return formatUsd(amount)
  context.issues.push({
    code: 'custom',
    input: text,
    message: 'must be dollars as a text, like "4.00", with at most nine decimals',
  })
  return z.NEVER
})

/** A budget that a key or a group shall have: dollars, for each window of the period. */
export const budgetLimitWire = z.strictObject({
  limitUsd: usdInput,
  period: z.enum(budgetPeriods, `must be one of ${budgetPeriods.join(', ')}`).default('total'),
})
export type BudgetLimitWire = z.input<typeof budgetLimitWire>

/** Several of them, one for each period at most: for example 2 dollars a day and 20 in total. */
export const budgetLimitsWire = z
  .array(budgetLimitWire)
  .max(budgetPeriods.length, `must be at most ${budgetPeriods.length}`)
  .refine(
    (budgets) => new Set(budgets.map((budget) => budget.period)).size === budgets.length,
    'must not name a period twice',
  )

/** A budget of a key or a group, with the figures of its present window. Dollars are decimal strings. */
export const scopeBudgetWire = z.object({
  id: z.string(),
  period: z.enum(budgetPeriods),
  status: z.enum(['active', 'paused']),
  limitUsd: z.string(),
  /** Settled, or held by a process that died with it. */
  spentUsd: z.string(),
  /** Of requests in flight, or set aside by a process for those that come. */
  heldUsd: z.string(),
  /** What may still be spent, once all that is held is spent. */
  remainingUsd: z.string(),
  /** When the next window begins; null for a `total`. */
  resetsAt: timestamp.nullable(),
})
export type ScopeBudgetWire = z.infer<typeof scopeBudgetWire>
