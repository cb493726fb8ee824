import { z } from 'zod'
import { budgetPeriods, scopeKinds } from '../database/tables.ts'
import { formatUsd, nanoUsd, parseUsd } from '../money.ts'
import { timestamp } from './fields.ts'
import { pageOf, pageQuery } from './page.ts'
import { scopeBudgetWire, usdInput } from './scope-budget.ts'

/** A budget with all figures of its present window. Dollars are decimal strings. */
export const budgetWire = z.object({
  ...scopeBudgetWire.shape,
  /** Whose money it counts; the name is null where the scope itself is gone. */
  scope: z.object({ kind: z.enum(scopeKinds), id: z.string(), name: z.string().nullable() }),
  /** The part of `spentUsd` that processes left behind which died: it may not have been spent. */
  unsettledUsd: z.string(),
  /** The part of `spentUsd` that no lease answered for: a provider billed more than was held. */
  overageUsd: z.string(),
  /** Percentages of the limit whose crossing is noted, in each window. */
  thresholds: z.array(z.number().int()),
  /** Those that were crossed in this window, and when first. A limit that was raised since leaves them. */
  crossed: z.array(z.object({ percent: z.number().int(), at: timestamp })),
  /** When the present window began; null for a `total`. */
  windowStart: timestamp.nullable(),
  createdAt: timestamp,
  /** Counts every change of the budget, and nothing that is spent. */
  revision: z.number().int(),
})
export type BudgetWire = z.infer<typeof budgetWire>

export const budgetPageWire = pageOf(budgetWire)

const scope = z.enum(scopeKinds, `must be one of ${scopeKinds.join(', ')}`)
const scopeReference = z.string().min(1, 'must not be empty').max(128, 'must be at most 128 characters')

const thresholds = z
  .array(z.int().min(1, 'must be at least 1').max(1000, 'must be at most 1000'))
  .max(16, 'must be at most 16')
  .refine((percents) => new Set(percents).size === percents.length, 'must not name a percentage twice')
  .transform((percents) => percents.toSorted((one, other) => one - other))

const revision = z.number().int().min(1).optional()

/** `GET /api/budgets`: a page of all in the order of their creation, or of those of a scope. */
export const budgetsQuery = pageQuery.extend({
  scope: scope.optional(),
  /** Its id, or its name. With `scope`. */
  scopeId: scopeReference.optional(),
})
export type BudgetsQuery = z.output<typeof budgetsQuery>

/** `POST /api/budgets`. */
export const createBudgetWire = z.strictObject({
  scope,
  /** The id of the key, group or provider key, or its name. Left out for the organization. */
  scopeId: scopeReference.optional(),
  period: z.enum(budgetPeriods, `must be one of ${budgetPeriods.join(', ')}`).default('total'),
  limitUsd: usdInput,
  thresholds: thresholds.optional(),
})

/** Dollars to add to an amount; with a minus sign, to take from it. In the spelling of `formatUsd`. */
const signedUsdInput = z.string().transform((text, context) => {
  const less = text.startsWith('-')
  const amount = parseUsd(less ? text.slice(1) : text)
  if (amount !== null) return formatUsd(less ? nanoUsd(-amount) : amount)
  context.issues.push({
    code: 'custom',
    input: text,
    message: 'must be dollars as a text, like "4.00" or "-0.5", with at most nine decimals',
  })
  return z.NEVER
})

/** `PATCH /api/budgets/:id`: what is left out stays. */
export const changeBudgetWire = z
  .strictObject({
    limitUsd: usdInput.optional(),
    /** So much more than the limit is; with a minus sign less, and never below zero. */
    addUsd: signedUsdInput.optional(),
    status: z.enum(['active', 'paused'], 'must be active or paused').optional(),
    thresholds: thresholds.optional(),
    /** Change only if the budget is still at this revision: a request that is repeated then adds once. */
    revision,
  })
  .refine((change) => change.limitUsd === undefined || change.addUsd === undefined, {
    message: 'can not stand beside limitUsd',
    path: ['addUsd'],
  })
export type ChangeBudgetWire = z.input<typeof changeBudgetWire>

/** `DELETE /api/budgets/:id`. */
export const removeBudgetQuery = z.strictObject({
  /** Said on purpose: what the budget limited is not limited by it any more. */
  confirm: z.literal(
    'true',
    'must be true: without the budget, its scope may spend what other budgets allow',
  ),
})
export const removedBudgetWire = z.object({ id: z.string() })
export type RemovedBudgetWire = z.infer<typeof removedBudgetWire>

/** `POST /api/budgets/:id/release`: what dead processes left behind and was given back, in all windows. */
export const releasedBudgetWire = z.object({
  releasedUsd: z.string(),
  /** How many leases were given back. */
  leases: z.number().int(),
  /** What can't be given back yet: until the longest request has timed out, its record may still come. */
  waitingUsd: z.string(),
  /** When all of it can be; null where nothing waits. */
  releasableAt: timestamp.nullable(),
  budget: budgetWire,
})
export type ReleasedBudgetWire = z.infer<typeof releasedBudgetWire>
