import type { BoundProviderKey, Principal } from '@latchkey/vault'
import type { LimitAsk } from '../limits/rate-limiter.ts'
import type { Segment } from '../limits/segments.ts'

interface KnownAsks {
  readonly principal: Principal
  readonly together: readonly LimitAsk[]
  readonly alone: readonly LimitAsk[]
}

// A principal is frozen and lives as long as its snapshot, and its provider keys with it: what a request asks for is
// put together once.
const known = new WeakMap<BoundProviderKey, KnownAsks>()

/** What a request of a key asks for before it is first sent: the key's limits, its group's and the provider key's. */
export function asksTogether(principal: Principal, providerKey: BoundProviderKey): readonly LimitAsk[] {
  return asksOf(principal, providerKey).together
}

/** What another attempt asks for: the limits of the provider key that it is sent with. */
export function asksAlone(principal: Principal, providerKey: BoundProviderKey): readonly LimitAsk[] {
  return asksOf(principal, providerKey).alone
}

/** What the request asks for by a limit of its own. */
export function policyAsk({ organizationId }: Principal, { id, limit }: Segment): LimitAsk {
  return { scope: { organizationId, kind: 'policy', id }, limits: [limit] }
}

function asksOf(principal: Principal, providerKey: BoundProviderKey): KnownAsks {
  const asks = known.get(providerKey)
  if (asks?.principal === principal) return asks
  const { organizationId, keyId, policy, group } = principal
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
  const made = { principal, together: together.filter(isLimited), alone: alone.filter(isLimited) }
  known.set(providerKey, made)
  return made
}

function isLimited({ limits }: LimitAsk): boolean {
  return limits.length > 0
}
