import type { DeploymentId, OrganizationId, ProviderKeyTable, ProxyKeyId } from '@latchkey/shared'
import type { Selectable } from 'kysely'
import { type Policy, parsePolicy } from './policy.ts'
import type { StoredProxyKey } from './proxy-key-reader.ts'
import { type BoundProviderKey, prepareProviderKey } from './sealed-provider-key.ts'

/** A frozen snapshot of a proxy key: who, and what it may do. */
export interface Principal {
  readonly keyId: ProxyKeyId
  readonly keyName: string
  readonly organizationId: OrganizationId
  readonly status: 'active' | 'paused' | 'revoked'
  /** Milliseconds since the epoch; null = never. Checked by the caller at every request. */
  readonly expiresAt: number | null
  readonly policy: Policy
  /** In the order in which they are tried. Read with the key, and as fresh as it. */
  readonly providerKeys: readonly BoundProviderKey[]
}

/** The principal of a row whose MAC has been checked; undefined if its policy can't be read. */
export function principalOf(
  deploymentId: DeploymentId,
  { row, providerKeys }: StoredProxyKey,
): Principal | undefined {
  const parsed = parsePolicy(row.policy)
  if (parsed.kind === 'invalid') return undefined
  const bound = row.bindings.flatMap((id): readonly BoundProviderKey[] => {
    const key = providerKeys.get(id)
    return key === undefined ? [] : [boundProviderKey(deploymentId, key)]
  })
  return Object.freeze({
    keyId: row.id,
    keyName: row.name,
    organizationId: row.organization_id,
    status: row.status,
    expiresAt: row.expires_at === null ? null : row.expires_at.getTime(),
    policy: parsed.policy,
    providerKeys: Object.freeze(bound),
  })
}

/** A provider key as stored, made ready to be opened. */
export function boundProviderKey(
  deploymentId: DeploymentId,
  row: Selectable<ProviderKeyTable>,
): BoundProviderKey {
  return Object.freeze({
    id: row.id,
    name: row.name,
    organizationId: row.organization_id,
    provider: row.provider,
    baseUrl: row.base_url,
    sealed: prepareProviderKey(deploymentId, row, row.envelope),
  })
}
