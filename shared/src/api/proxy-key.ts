import { z } from 'zod'
import { parseCidr } from '../cidr.ts'
import { budgetFits } from '../database/tables.ts'
import { emailAddress, note, providerKeyName, proxyKeyName, timestamp, timestampInput } from './fields.ts'
import { groupReference } from './group.ts'
import { rateLimitsWire, rateLimitWire } from './limit.ts'
import { pageOf, pageQuery } from './page.ts'
import { budgetLimitsWire, scopeBudgetWire } from './scope-budget.ts'

/** What a request with the key would meet now: the stored status, or `expired`. */
export const proxyKeyStatuses = ['active', 'paused', 'expired', 'revoked'] as const
export type ProxyKeyStatus = (typeof proxyKeyStatuses)[number]

/** A proxy key as the API shows it: never its token. */
export const proxyKeyWire = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  tags: z.array(z.string()),
  /** Whom it was made for. */
  email: z.string().nullable(),
  status: z.enum(proxyKeyStatuses),
  /** While its group is paused, a key is refused whatever its own status is. */
  group: z.object({ id: z.string(), name: z.string(), status: z.enum(['active', 'paused']) }).nullable(),
  /** Names of provider keys, in the order in which they are tried. */
  providerKeys: z.array(z.string()),
  /** Exact names or `prefix*`; null allows every model. */
  models: z.array(z.string()).nullable(),
  /** Exact paths or `prefix*`; null allows what the models' rule allows. */
  endpoints: z.array(z.string()).nullable(),
  /** CIDR blocks; null allows every address. */
  allowIps: z.array(z.string()).nullable(),
  retries: z.number().int(),
  /** Of the key itself; those of its group hold as well. */
  limits: z.array(rateLimitWire),
  /** Where a budget can't pay for the output that was asked for: refuse the request, or lower its cap. */
  fit: z.enum(budgetFits),
  /** Whether bodies of its requests are kept, sealed; its group may say so as well. */
  capture: z.boolean(),
  /** Of the key itself; those of its group, organization and provider keys hold as well. */
  budgets: z.array(scopeBudgetWire),
  expiresAt: timestamp.nullable(),
  createdAt: timestamp,
  rotatedAt: timestamp.nullable(),
  /** Until when the secret before the last rotation works; null when it does not. */
  previousExpiresAt: timestamp.nullable(),
  revokedAt: timestamp.nullable(),
  /** When it was revoked as compromised. */
  compromisedAt: timestamp.nullable(),
  lastUsedAt: timestamp.nullable(),
  /** Counts every change of the key. */
  revision: z.number().int(),
})
export type ProxyKeyWire = z.infer<typeof proxyKeyWire>

export const proxyKeyPageWire = pageOf(proxyKeyWire)

/** Answer to creation and rotation: the only time that the token is shown. */
export const mintedProxyKeyWire = z.object({ ...proxyKeyWire.shape, key: z.string() })
export type MintedProxyKeyWire = z.infer<typeof mintedProxyKeyWire>

const modelPattern = z
  .string()
  .regex(/^[!-)+-~]{1,200}\*?$|^\*$/, 'must be a model name, or a beginning of one followed by *')
const endpointPattern = z
  .string()
  .regex(/^\/[!-)+-~]{0,400}\*?$/, 'must be a path that begins with /, with at most one * at its end')
const addressBlock = z
  .string()
  .refine((text) => parseCidr(text) !== null, 'must be an address block like 10.0.0.0/8 or 2001:db8::/32')

// What may be said of a key, at its creation and later. An empty list reads as "nothing", and would be stored by
// mistake for "everything" or the reverse.
const tags = z.array(note(64).min(1, 'must not be empty')).max(32)
const providerKeys = z
  .array(providerKeyName)
  .min(1, 'must name at least one provider key')
  .max(16)
  .refine((names) => new Set(names).size === names.length, 'must not name a provider key twice')
const models = z.array(modelPattern).min(1, 'must not be empty; leave it out to allow all').max(500)
const endpoints = z.array(endpointPattern).min(1, 'must not be empty; leave it out').max(500)
const allowIps = z.array(addressBlock).min(1, 'must not be empty; leave it out to allow all').max(500)
const retries = z.number().int().min(0).max(10)
const fit = z.enum(budgetFits, `must be one of ${budgetFits.join(', ')}`)

/** What several keys can have in common. Null, or leaving a list out, means no restriction. */
const common = {
  providerKeys,
  group: groupReference.nullish(),
  description: note(1000).default(''),
  tags: tags.default([]),
  models: models.nullish(),
  endpoints: endpoints.nullish(),
  allowIps: allowIps.nullish(),
  retries: retries.default(0),
  limits: rateLimitsWire.default([]),
  fit: fit.default('refuse'),
  capture: z.boolean().default(false),
  budgets: budgetLimitsWire.default([]),
  expiresAt: timestampInput.nullish(),
}

/** `POST /api/keys`. */
export const createProxyKeyWire = z.strictObject({
  name: proxyKeyName,
  email: emailAddress.nullish(),
  ...common,
})
export type CreateProxyKeyWire = z.input<typeof createProxyKeyWire>

/** The most keys that one `POST /api/keys/bulk` makes. */
export const bulkKeysMost = 2000

/** `POST /api/keys/bulk`: all of `keys`, or none. What one of them leaves out is as for all. */
export const createProxyKeysWire = z.strictObject({
  ...common,
  keys: z
    .array(
      z.strictObject({
        name: proxyKeyName,
        email: emailAddress.nullish(),
        /** Null: all models, whatever holds for the others. */
        models: models.nullish(),
        /** Null: never, whatever holds for the others. */
        expiresAt: timestampInput.nullish(),
        /** Instead of those for all. */
        budgets: budgetLimitsWire.optional(),
      }),
    )
    .min(1, 'must hold at least one key')
    .max(bulkKeysMost, `must hold at most ${bulkKeysMost} keys`),
})
export type CreateProxyKeysWire = z.input<typeof createProxyKeysWire>

/** Answer to it: the keys in the order in which they were asked for. */
export const mintedProxyKeysWire = z.object({ data: z.array(mintedProxyKeyWire) })
export type MintedProxyKeysWire = z.infer<typeof mintedProxyKeysWire>

/** `PATCH /api/keys/:id`: what is left out stays; null takes a restriction, the group, the address or the end away. */
export const changeProxyKeyWire = z.strictObject({
  name: proxyKeyName.optional(),
  email: emailAddress.nullable().optional(),
  providerKeys: providerKeys.optional(),
  group: groupReference.nullable().optional(),
  description: note(1000).optional(),
  tags: tags.optional(),
  models: models.nullable().optional(),
  endpoints: endpoints.nullable().optional(),
  allowIps: allowIps.nullable().optional(),
  retries: retries.optional(),
  /** All of its limits from now on. */
  limits: rateLimitsWire.optional(),
  fit: fit.optional(),
  capture: z.boolean().optional(),
  /** Makes the budgets of these periods, or changes their limits; those of other periods stay. */
  budgets: budgetLimitsWire.optional(),
  expiresAt: timestampInput.nullable().optional(),
  /** Change only if the key is still at this revision. */
  revision: z.number().int().min(1).optional(),
})
export type ChangeProxyKeyWire = z.input<typeof changeProxyKeyWire>

/** `GET /api/keys`: a page of all, or of those of exactly this name, or of this group. */
export const proxyKeysQuery = pageQuery.extend({
  name: z.string().min(1).max(128).optional(),
  group: groupReference.optional(),
})

/** `POST /api/keys/:id/rotate`. */
export const rotateProxyKeyWire = z.strictObject({
  /** For how long the old secret goes on working. */
  graceSeconds: z
    .number()
    .int()
    .min(0)
    .max(30 * 86_400)
    .default(86_400),
  /** Rotate only if the key is still at this revision: a request that is repeated then rotates once. */
  revision: z.number().int().min(1).optional(),
})

/** `POST /api/keys/:id/revoke`. Compromised: requests that are running with the key are ended as well. */
export const revokeProxyKeyWire = z.strictObject({ reason: z.enum(['compromised']).optional() })
