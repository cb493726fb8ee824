import { parseCidr, type StoredPolicy } from '@latchkey/shared'
import { z } from 'zod'

/** What a proxy key may do: a `StoredPolicy` that has been checked, frozen to its leaves. */
export type Policy = StoredPolicy

/** Allows every model, endpoint and address, and sends nothing twice. */
export const openPolicy: Policy = Object.freeze({ models: null, endpoints: null, allowIps: null, retries: 0 })

/** A star may only stand at the end, where it means "and whatever follows". */
const model = z.string().regex(/^[^\s*,]{1,200}\*?$|^\*$/)
const endpoint = z.string().regex(/^\/[^\s*,?#]{0,500}\*?$/)
const block = z.string().refine((text) => parseCidr(text) !== null)

const schema = z.strictObject({
  models: z.array(model).max(500).readonly().nullable(),
  endpoints: z.array(endpoint).max(500).readonly().nullable(),
  allowIps: z.array(block).max(500).readonly().nullable(),
  retries: z.int().min(0).max(10),
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
  const { models, endpoints, allowIps, retries } = parsed.data
  return {
    kind: 'policy',
    policy: Object.freeze({
      models: freezeList(models),
      endpoints: freezeList(endpoints),
      allowIps: freezeList(allowIps),
      retries,
    }),
  }
}

/**
 * The policy as text for the row's MAC: JSON with sorted keys. It encodes what is stored, not what was
 * parsed, so that a field added later with a default leaves the MACs of older rows valid.
 */
export function canonicalPolicy(stored: StoredPolicy): string {
  const entries = Object.entries(stored).sort(([left], [right]) => (left < right ? -1 : 1))
  return JSON.stringify(entries)
}

function freezeList(list: readonly string[] | null): readonly string[] | null {
  return list === null ? null : Object.freeze([...list])
}
