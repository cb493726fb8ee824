import type {
  BudgetId,
  DeploymentId,
  GroupId,
  OrganizationId,
  ProxyKeyId,
  StoredLimit,
} from '@latchkey/shared'
import { z } from 'zod'
import { type Policy, parseLimits, parsePolicy } from './policy.ts'
import type { StoredProxyKey } from './proxy-key-reader.ts'
import type { BudgetedProviderKeyRow, ScopedProxyKeyRow } from './proxy-key-row.ts'
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
  /** Null where the key is in none. */
  readonly group: PrincipalGroup | null
  /** Every budget that pays for the key's requests: its own, its group's and its organization's, in any status. */
  readonly budgets: readonly BudgetId[]
  /** In the order in which they are tried. Read with the key, and as fresh as it. */
  readonly providerKeys: readonly BoundProviderKey[]
}

/** The group that a key is in, as fresh as the key. */
export interface PrincipalGroup {
  readonly id: GroupId
  readonly name: string
  /** Paused: every key of the group is refused. */
  readonly status: 'active' | 'paused'
  /** Shared by all of its keys. */
  readonly limits: readonly StoredLimit[]
  /** Whether bodies of its keys' requests are kept. */
  readonly capture: boolean
}

/** The principal of a row whose MAC has been checked; undefined if its policy, its group or a provider key's limits can't be read. */
export function principalOf(
  deploymentId: DeploymentId,
  { row, providerKeys }: StoredProxyKey,
): Principal | undefined {
  const parsed = parsePolicy(row.policy)
  const group = groupOf(row)
  if (parsed.kind === 'invalid' || group === undefined) return undefined
  const bound: BoundProviderKey[] = []
  for (const id of row.bindings) {
    const key = providerKeys.get(id)
    if (key === undefined) continue
    const made = boundProviderKey(deploymentId, key)
    if (made === undefined) return undefined
    bound.push(made)
  }
  return Object.freeze({
    keyId: row.id,
    keyName: row.name,
    organizationId: row.organization_id,
    status: row.status,
    expiresAt: row.expires_at === null ? null : row.expires_at.getTime(),
    policy: parsed.policy,
    group,
    budgets: Object.freeze([...row.budgets]),
    providerKeys: Object.freeze(bound),
  })
}

/** A provider key as stored, made ready to be opened; undefined if its limits can't be read: less must not mean more. */
export function boundProviderKey(
  deploymentId: DeploymentId,
  row: BudgetedProviderKeyRow,
): BoundProviderKey | undefined {
  const limits = parseLimits(row.limits)
  if (limits === undefined) return undefined
  return Object.freeze({
    id: row.id,
    name: row.name,
    organizationId: row.organization_id,
    provider: row.provider,
    baseUrl: row.base_url,
    budgets: Object.freeze([...row.budgets]),
    limits,
    sealed: prepareProviderKey(deploymentId, row, row.envelope),
  })
}

const storedGroup = z.object({
  name: z.string(),
  status: z.enum(['active', 'paused']),
  limits: z.unknown(),
  capture: z.boolean(),
})

/** Undefined: what the database says of the group can't be true, and less must not mean more. */
function groupOf(row: ScopedProxyKeyRow): PrincipalGroup | null | undefined {
  if (row.group_id === null) return null
  const parsed = storedGroup.safeParse(row.group)
  if (!parsed.success) return undefined
  const { name, status, capture } = parsed.data
  const limits = parseLimits(parsed.data.limits)
  return limits === undefined ? undefined : Object.freeze({ id: row.group_id, name, status, limits, capture })
}
