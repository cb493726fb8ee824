import { emailAddress, LatchkeyError, proxyKeyName, type StoredPolicy } from '@latchkey/shared'
import type { z } from 'zod'
import { type Policy, parsePolicy } from './policy.ts'

// What callers give of a proxy key. `at` is where it stands in what they gave, like `keys[3].`.

/** Throws `invalid_request`. */
export function parseProxyKeyName(text: string, at = ''): string {
  return parseField(proxyKeyName, text, 'name', at)
}

/** Throws `invalid_request`. */
export function parseEmail(text: string | null, at = ''): string | null {
  return text === null ? null : parseField(emailAddress, text, 'email', at)
}

/** Throws `invalid_request`, naming the field of the policy. */
export function parsePolicyInput(policy: StoredPolicy, at = ''): Policy {
  const parsed = parsePolicy(policy)
  if (parsed.kind === 'policy') return parsed.policy
  throw new LatchkeyError('invalid_request', {
    message: `The policy is not valid: ${parsed.message}.`,
    param: `${at}${parsed.path}`,
  })
}

/** Names of provider keys. Throws `invalid_request`. */
export function parseBindings(names: readonly string[], at = ''): readonly string[] {
  if (names.length === 0 || names.length > 16 || new Set(names).size !== names.length)
    throw new LatchkeyError('invalid_request', {
      message: 'Name 1 to 16 provider keys, each once.',
      param: `${at}providerKeys`,
    })
  return names
}

function parseField(schema: z.ZodType<string>, text: string, field: string, at: string): string {
  const parsed = schema.safeParse(text)
  if (parsed.success) return parsed.data
  throw new LatchkeyError('invalid_request', {
    message: `The ${field} ${parsed.error.issues[0]?.message ?? 'is not valid'}.`,
    param: `${at}${field}`,
  })
}
