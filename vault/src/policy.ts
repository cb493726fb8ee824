import { budgetFits, parseCidr, rateLimitsWire, type StoredLimit, type StoredPolicy } from '@latchkey/shared'
import { z } from 'zod'

/** What a proxy key may do: a `StoredPolicy` that has been checked, frozen to its leaves. */
export type Policy = StoredPolicy

/** Allows every model, endpoint and address, limits nothing, and sends nothing twice. */
export const openPolicy: Policy = Object.freeze({
  models: null,
  endpoints: null,
  allowIps: null,
  retries: 0,
  limits: Object.freeze([]),
  fit: 'refuse',
  capture: false,
})

/** What a key may do whose policy can't be read: nothing. */
const closedPolicy: Policy = Object.freeze({
  ...openPolicy,
  models: Object.freeze([]),
  endpoints: Object.freeze([]),
  allowIps: Object.freeze([]),
})

/** A star may only stand at the end, where it means "and whatever follows". */
const model = z.string().regex(/^[^\s*,]{1,200}\*?$|^\*$/)
const endpoint = z.string().regex(/^\/[^\s*,?#]{0,500}\*?$/)
const block = z.string().refine((text) => parseCidr(text) !== null)

const schema = z.strictObject({
  models: z.array(model).max(500).readonly().nullable(),
  endpoints: z.array(endpoint).max(500).readonly().nullable(),
  allowIps: z.array(block).max(500).readonly().nullable(),
  retries: z.int().min(0).max(10),
  // Policies that were stored before there were limits, or captures, lack these.
  limits: rateLimitsWire.default([]),
  fit: z.enum(budgetFits).default('refuse'),
  capture: z.boolean().default(false),
}) satisfies z.ZodType<StoredPolicy>

export type PolicyParse =
  | { readonly kind: 'policy'; readonly policy: Policy }
  | { readonly kind: 'invalid'; readonly path: string; readonly message: string }

/** Checks a policy from outside or from the database. Unknown fields are refused, never ignored. */
export function parsePolicy(value: unknown): PolicyParse {
  const parsed = schema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return { kind: 'invalid', path: issue?.path.join('.') ?? '', message: issue?.message ?? 'not a policy' }
  }
  const { models, endpoints, allowIps, retries, limits, fit, capture } = parsed.data
  return {
    kind: 'policy',
    policy: Object.freeze({
      models: freezeList(models),
      endpoints: freezeList(endpoints),
      allowIps: freezeList(allowIps),
      retries,
      limits: freezeLimits(limits),
      fit,
      capture,
    }),
  }
}

/** A stored policy for people. One that somebody edited is refused at the door, so it is shown to allow nothing. */
export function shownPolicy(stored: unknown): Policy {
  const parsed = parsePolicy(stored)
  return parsed.kind === 'policy' ? parsed.policy : closedPolicy
}

/** Checks the rate limits of a group or a provider key. Undefined: somebody edited them. */
export function parseLimits(value: unknown): readonly StoredLimit[] | undefined {
  const parsed = rateLimitsWire.safeParse(value)
  return parsed.success ? freezeLimits(parsed.data) : undefined
}

/**
 * The policy as text for the row's MAC: JSON with sorted keys at every depth, since the database keeps them in
 * an order of its own. It encodes what is stored, not what was parsed, so that a field added later with a
 * default leaves the MACs of older rows valid.
 */
export function canonicalPolicy(stored: StoredPolicy): string {
  return JSON.stringify(sortedEntries(stored), (_key, value: unknown) =>
    isRecord(value) ? Object.fromEntries(sortedEntries(value)) : value,
  )
}

function sortedEntries(value: object): readonly (readonly [string, unknown])[] {
  return Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1))
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function freezeList(list: readonly string[] | null): readonly string[] | null {
  return list === null ? null : Object.freeze([...list])
}

function freezeLimits(limits: readonly StoredLimit[]): readonly StoredLimit[] {
  return Object.freeze(limits.map((limit) => Object.freeze({ ...limit })))
}
