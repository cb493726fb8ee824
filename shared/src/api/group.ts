import { z } from 'zod'
import { groupName, note, timestamp } from './fields.ts'
import { rateLimitsWire, rateLimitWire } from './limit.ts'
import { pageOf, pageQuery } from './page.ts'
import { budgetLimitsWire, scopeBudgetWire } from './scope-budget.ts'

/** Whatever a group can be called by: its id or its name. */
export const groupReference = z
  .string()
  .min(1, 'must not be empty')
  .max(128, 'must be at most 128 characters')

/** Proxy keys that share budgets and rate limits: a department, a team, a client, an event. */
export const groupWire = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  /** Paused: every key of the group is refused. */
  status: z.enum(['active', 'paused']),
  /** Shared by all of its keys; each key's own limits hold as well. */
  limits: z.array(rateLimitWire),
  /** Whether bodies of its keys' requests are kept, sealed. */
  capture: z.boolean(),
  budgets: z.array(scopeBudgetWire),
  /** How many keys it has that are not revoked. */
  keys: z.number().int(),
  createdAt: timestamp,
  /** Counts every change of the group. */
  revision: z.number().int(),
})
export type GroupWire = z.infer<typeof groupWire>

export const groupPageWire = pageOf(groupWire)

/** `GET /api/groups`: a page of all by name, or the one of exactly this name. */
export const groupsQuery = pageQuery.extend({ name: z.string().min(1).max(128).optional() })

/** `POST /api/groups`. */
export const createGroupWire = z.strictObject({
  name: groupName,
  description: note(1000).default(''),
  limits: rateLimitsWire.default([]),
  capture: z.boolean().default(false),
  budgets: budgetLimitsWire.default([]),
})
export type CreateGroupWire = z.input<typeof createGroupWire>

/** `PATCH /api/groups/:id`: what is left out stays. */
export const changeGroupWire = z.strictObject({
  name: groupName.optional(),
  description: note(1000).optional(),
  /** All of its limits from now on. */
  limits: rateLimitsWire.optional(),
  capture: z.boolean().optional(),
  /** Makes the budgets of these periods, or changes their limits; those of other periods stay. */
  budgets: budgetLimitsWire.optional(),
  /** Change only if the group is still at this revision. */
  revision: z.number().int().min(1).optional(),
})
export type ChangeGroupWire = z.input<typeof changeGroupWire>

/** Answer to `revoke-all`: how many keys were ended. */
export const revokedAllWire = z.object({ revoked: z.number().int() })
export type RevokedAllWire = z.infer<typeof revokedAllWire>
