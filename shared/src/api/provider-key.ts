import { z } from 'zod'
import { providerKeyName, timestamp } from './fields.ts'
import { rateLimitsWire, rateLimitWire } from './limit.ts'
import { pageOf } from './page.ts'
import { budgetLimitsWire, scopeBudgetWire } from './scope-budget.ts'

/** The providers that this release talks to. */
export const providerNames = ['openai', 'openai-compatible', 'simulator'] as const
export type ProviderName = (typeof providerNames)[number]

/** A provider key as the API shows it: never its secret. */
export const providerKeyWire = z.object({
  id: z.string(),
  name: z.string(),
  provider: z.string(),
  /** With its version path, without a trailing slash. */
  baseUrl: z.string(),
  /** The secret's last characters, for recognition; null where it is too short to show any. */
  maskedTail: z.string().nullable(),
  /** Active and paused proxy keys that are bound to it. */
  boundKeys: z.number().int(),
  /** What may be spent on it, whoever's request it is. */
  budgets: z.array(scopeBudgetWire),
  /** What may be sent with it, whoever's request it is. */
  limits: z.array(rateLimitWire),
  /** Counts every change of it. */
  revision: z.number().int(),
  createdAt: timestamp,
  rotatedAt: timestamp.nullable(),
  lastUsedAt: timestamp.nullable(),
})
export type ProviderKeyWire = z.infer<typeof providerKeyWire>

export const providerKeyPageWire = pageOf(providerKeyWire)

const secret = z.string().min(1, 'must not be empty').max(4096, 'must be at most 4096 characters')

/** `POST /api/provider-keys`. The simulator has no secret; every other provider needs one. */
export const addProviderKeyWire = z
  .strictObject({
    name: providerKeyName,
    provider: z.enum(providerNames, `must be one of ${providerNames.join(', ')}`),
    /** With its version path, like `https://host/v1`. Null or absent: the provider's own. */
    baseUrl: z.string().min(1).max(2048).nullish(),
    secret: secret.optional(),
  })
  .check((context) => {
    const { provider, secret, baseUrl } = context.value
    const refuse = (path: string, message: string) =>
      context.issues.push({ code: 'custom', input: undefined, path: [path], message })
    if (provider === 'simulator') {
      if (secret !== undefined) refuse('secret', 'must be left out: the simulator has no secret')
    } else if (secret === undefined) {
      refuse('secret', 'is required')
    }
    if (provider === 'openai-compatible' && baseUrl == null) {
      refuse('baseUrl', 'is required: an openai-compatible provider can be anywhere')
    }
  })
export type AddProviderKeyWire = z.input<typeof addProviderKeyWire>

/** `POST /api/provider-keys/:name/rotate`. */
export const rotateProviderKeyWire = z.strictObject({ secret })

/** `PATCH /api/provider-keys/:name`: what is left out stays. */
export const changeProviderKeyWire = z.strictObject({
  /** Makes the budgets of these periods, or changes their limits; those of other periods stay. */
  budgets: budgetLimitsWire.optional(),
  /** All of its limits from now on. */
  limits: rateLimitsWire.optional(),
  /** Change only if it is still at this revision. */
  revision: z.number().int().min(1).optional(),
})
export type ChangeProviderKeyWire = z.input<typeof changeProviderKeyWire>

/** `DELETE /api/provider-keys/:name`. */
export const removeProviderKeyQuery = z.strictObject({
  /** Revoke the proxy keys that are bound to it instead of refusing. */
  revokeKeys: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true'),
})
export const removedProviderKeyWire = z.object({
  name: z.string(),
  /** Ids of the proxy keys that were revoked with it. */
  revokedKeys: z.array(z.string()),
})
export type RemovedProviderKeyWire = z.infer<typeof removedProviderKeyWire>

/** `POST /api/provider-keys/:name/test`: what became of one harmless request (a list of models) to the provider. */
export const providerKeyTestWire = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('reachable'), status: z.number().int(), durationMs: z.number() }),
  z.object({ kind: z.literal('unreachable'), code: z.string(), message: z.string() }),
])
export type ProviderKeyTestWire = z.infer<typeof providerKeyTestWire>
