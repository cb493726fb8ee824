import { z } from 'zod'
import { budgetPeriods } from '../database/tables.ts'
import { timestamp } from './fields.ts'
import { limitPeriods } from './limit.ts'

const scope = z.enum(['key', 'group', 'organization'])

/**
 * `GET /key` of the data plane: what whoever holds a proxy key may know of it. Dollars are decimal strings; of a
 * budget, what is spent, held and left adds up to the limit, unless more was spent.
 */
export const holderKeyWire = z.object({
  name: z.string(),
  group: z.string().nullable(),
  status: z.enum(['active', 'paused', 'expired']),
  expiresAt: timestamp.nullable(),
  /** Names, or `prefix*`; null: all. */
  models: z.array(z.string()).nullable(),
  limits: z.array(
    z.object({
      scope: z.enum(['key', 'group']),
      unit: z.enum(['requests', 'tokens', 'concurrency']),
      /** Null for `concurrency`. */
      per: z.enum(limitPeriods).nullable(),
      limit: z.number().int(),
    }),
  ),
  budgets: z.array(
    z.object({
      scope,
      window: z.enum(budgetPeriods),
      status: z.enum(['active', 'paused']),
      limitUsd: z.string(),
      spentUsd: z.string(),
      /** By requests in flight, or set aside by another process of the gateway. */
      heldUsd: z.string(),
      remainingUsd: z.string(),
      /** When the next window begins; null for a `total`. */
      resetsAt: timestamp.nullable(),
    }),
  ),
  /** What was sent so far, dearest first. */
  byModel: z.array(
    z.object({
      /** Null where the request named none. */
      model: z.string().nullable(),
      requests: z.number().int(),
      inputTokens: z.number().int(),
      outputTokens: z.number().int(),
      costUsd: z.string(),
    }),
  ),
})
export type HolderKeyWire = z.infer<typeof holderKeyWire>
