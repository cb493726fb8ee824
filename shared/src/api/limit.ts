import { z } from 'zod'

/** What a rate limit of requests or tokens refills over. */
export const limitPeriods = ['minute', 'hour', 'day'] as const
export type LimitPeriod = (typeof limitPeriods)[number]

/** No limit is higher; it keeps sums of limits and tokens exact in a float. */
export const mostLimit = 1_000_000_000_000

const amount = z.int().min(1, 'must be at least 1').max(mostLimit, `must be at most ${mostLimit}`)

/** One rate limit: `{"unit":"requests","per":"minute","limit":60}`, or `{"unit":"concurrency","limit":4}`. */
export const rateLimitWire = z.discriminatedUnion(
  'unit',
  [
    z.strictObject({
      unit: z.enum(['requests', 'tokens']),
      per: z.enum(limitPeriods, 'must be minute, hour or day'),
      limit: amount,
    }),
    z.strictObject({ unit: z.literal('concurrency'), limit: amount }),
  ],
  { error: 'must be a limit whose unit is requests, tokens or concurrency' },
)
export type RateLimitWire = z.infer<typeof rateLimitWire>

/** The rate limits of a key or a group: each kind at most once, or nobody could say which one holds. */
export const rateLimitsWire = z
  .array(rateLimitWire)
  .max(7, 'must be at most 7')
  .refine(
    (limits) => new Set(limits.map(limitKind)).size === limits.length,
    'must not limit the same thing twice',
  )

/** What a limit limits: two of one kind can't both be meant. */
export function limitKind(limit: RateLimitWire): string {
  return limit.unit === 'concurrency' ? limit.unit : `${limit.unit}/${limit.per}`
}
