import { z } from 'zod'
import { timestamp, timestampInput } from './fields.ts'
import { groupReference } from './group.ts'

/** What usage can be summed by. Days are those of UTC. */
export const usageDimensions = ['key', 'group', 'model', 'day'] as const
export type UsageDimension = (typeof usageDimensions)[number]

/** The most rows that one answer has. */
export const usageRowsMost = 1000

/** `GET /api/usage`: requests that began in `[from, to)`; the last 30 days by default. */
export const usageQuery = z.strictObject({
  by: z.enum(usageDimensions, `must be one of ${usageDimensions.join(', ')}`),
  from: timestampInput.optional(),
  to: timestampInput.optional(),
  /** The id of a proxy key. */
  key: z.string().min(1).max(64).optional(),
  /** The id or the name of a group: requests of keys that were in it then. */
  group: groupReference.optional(),
  limit: z.coerce.number().int().min(1).max(usageRowsMost).default(100),
})
export type UsageQuery = z.output<typeof usageQuery>

const count = z.number().int()

const sums = {
  /** All of them, refused ones too. */
  requests: count,
  /** Those that the gateway refused before anything was sent. */
  refused: count,
  inputTokens: count,
  /** The part of `inputTokens` that the provider had in its cache. */
  cachedInputTokens: count,
  outputTokens: count,
  costUsd: z.string(),
  /** The part of `costUsd` that is what was held, because the provider's own figure did not come. */
  estimatedUsd: z.string(),
  /** Requests that were sent and whose cost nothing states, for want of a price or a budget: `costUsd` lacks it. */
  unpriced: count,
}

/** Sums over some requests. Dollars are decimal strings. */
export const usageSumsWire = z.object(sums)
export type UsageSumsWire = z.infer<typeof usageSumsWire>

/** Sums over the requests of one key, group, model or day. */
export const usageRowWire = z.object({
  /** The id of the key or group, the model that was asked for, or the day (`2026-11-21`). Null: there was none. */
  id: z.string().nullable(),
  /** What people call it: the name of a key or group, else the id. */
  name: z.string().nullable(),
  ...sums,
})

/** The dearest first; days: the latest first. */
export const usageWire = z.object({
  by: z.enum(usageDimensions),
  from: timestamp,
  to: timestamp,
  data: z.array(usageRowWire),
  /** How many rows there are beyond `limit`. */
  leftOut: count,
  /** Over all of them. */
  total: usageSumsWire,
})
export type UsageWire = z.infer<typeof usageWire>
