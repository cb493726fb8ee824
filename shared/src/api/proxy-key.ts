import { z } from 'zod'
import { parseCidr } from '../cidr.ts'
import { note, providerKeyName, proxyKeyName, timestamp, timestampInput } from './fields.ts'
import { pageOf, pageQuery } from './page.ts'

/** What a request with the key would meet now: the stored status, or `expired`. */
export const proxyKeyStatuses = ['active', 'paused', 'expired', 'revoked'] as const
export type ProxyKeyStatus = (typeof proxyKeyStatuses)[number]

/** A proxy key as the API shows it: never its token. */
export const proxyKeyWire = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  tags: z.array(z.string()),
  status: z.enum(proxyKeyStatuses),
  /** Names of provider keys, in the order in which they are tried. */
  providerKeys: z.array(z.string()),
  /** Exact names or `prefix*`; null allows every model. */
  models: z.array(z.string()).nullable(),
  /** Exact paths or `prefix*`; null allows what the models' rule allows. */
  endpoints: z.array(z.string()).nullable(),
  /** CIDR blocks; null allows every address. */
  allowIps: z.array(z.string()).nullable(),
  retries: z.number().int(),
  expiresAt: timestamp.nullable(),
  createdAt: timestamp,
  rotatedAt: timestamp.nullable(),
  /** Until when the secret before the last rotation works; null when it does not. */
  previousExpiresAt: timestamp.nullable(),
  revokedAt: timestamp.nullable(),
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

/** `POST /api/keys`. */
export const createProxyKeyWire = z.strictObject({
  name: proxyKeyName,
  description: note(1000).default(''),
  tags: z.array(note(64).min(1, 'must not be empty')).max(32).default([]),
  providerKeys: z
    .array(providerKeyName)
    .min(1, 'must name at least one provider key')
    .max(16)
    .refine((names) => new Set(names).size === names.length, 'must not name a provider key twice'),
  // An empty list reads as "nothing", and would be stored by mistake for "everything" or the reverse.
  models: z.array(modelPattern).min(1, 'must not be empty; leave it out to allow all').max(500).nullish(),
  endpoints: z.array(endpointPattern).min(1, 'must not be empty; leave it out').max(500).nullish(),
  allowIps: z.array(addressBlock).min(1, 'must not be empty; leave it out to allow all').max(500).nullish(),
  retries: z.number().int().min(0).max(10).default(0),
  expiresAt: timestampInput.nullish(),
})
export type CreateProxyKeyWire = z.input<typeof createProxyKeyWire>

/** `GET /api/keys`: a page of all, or of those of exactly this name. */
export const proxyKeysQuery = pageQuery.extend({ name: z.string().min(1).max(128).optional() })

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
export type RotateProxyKeyWire = z.input<typeof rotateProxyKeyWire>
