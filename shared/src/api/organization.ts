import { z } from 'zod'
import { timestamp } from './fields.ts'
import { budgetLimitsWire, scopeBudgetWire } from './scope-budget.ts'

/** `GET /api/organization`: whom all of this belongs to. */
export const organizationWire = z.object({
  id: z.string(),
  name: z.string(),
  /** What all of its keys may spend together. */
  budgets: z.array(scopeBudgetWire),
  createdAt: timestamp,
})
export type OrganizationWire = z.infer<typeof organizationWire>

/** `PATCH /api/organization`: what is left out stays. */
export const changeOrganizationWire = z.strictObject({
  /** Makes the budgets of these periods, or changes their limits; those of other periods stay. */
  budgets: budgetLimitsWire.optional(),
})
