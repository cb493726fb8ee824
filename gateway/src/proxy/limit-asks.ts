import type { BoundProviderKey, Principal } from '@latchkey/vault'
import type { LimitAsk } from '../limits/rate-limiter.ts'
import type { Segment } from '../limits/segments.ts'

/** What requests of a key that are sent with one provider key ask for. */
export interface LimitAsks {
  /** Before one is first sent: the key's limits, its group's and the provider key's. */
  readonly together: readonly LimitAsk[]
  /** Before another attempt: those of the provider key. */
  readonly alone: readonly LimitAsk[]
}

/** What requests of a key ask for that are sent with one of its provider keys. */
export function limitAsks(
  { organizationId, keyId, policy, group }: Principal,
  providerKey: BoundProviderKey,
): LimitAsks {
  const alone: LimitAsk[] = [
    { scope: { organizationId, kind: 'provider_key', id: providerKey.id }, limits: providerKey.limits },
  ]
  const together: LimitAsk[] = [
    { scope: { organizationId, kind: 'key', id: keyId }, limits: policy.limits },
    ...(group === null
      ? []
      : [{ scope: { organizationId, kind: 'group', id: group.id }, limits: group.limits } as const]),
    ...alone,
  ]
  return { together: together.filter(isLimited), alone: alone.filter(isLimited) }
}

/** What the request asks for by a limit of its own. */
export function policyAsk({ organizationId }: Principal, { id, limit }: Segment): LimitAsk {
  return { scope: { organizationId, kind: 'policy', id }, limits: [limit] }
}

function isLimited({ limits }: LimitAsk): boolean {
  return limits.length > 0
}
