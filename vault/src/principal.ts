import { hash } from 'node:crypto'
import type {
  BudgetId,
  DeploymentId,
  GroupId,
  OrganizationId,
  ProxyKeyId,
  StoredLimit,
} from '@latchkey/shared'
import { LRUCache } from 'lru-cache'
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

const mostShared = 1000

/**
 * Makes principals. What keys have alike (a policy, a group, a provider key) they share: kept once for the thousands of
 * keys of a bulk, it also stays in the processor's caches for all of them. A part is known by all that it is made of.
 */
export class Principals {
  readonly #deploymentId: DeploymentId
  readonly #policies = new LRUCache<string, Policy>({ max: mostShared })
  readonly #groups = new LRUCache<string, PrincipalGroup>({ max: mostShared })
  readonly #providerKeys = new LRUCache<string, BoundProviderKey>({ max: mostShared })

  constructor(deploymentId: DeploymentId) {
    this.#deploymentId = deploymentId
  }

  /** The principal of a row whose MAC has been checked; undefined if its policy, its group or a provider key's limits can't be read. */
  of({ row, providerKeys }: StoredProxyKey): Principal | undefined {
    const policy = known(this.#policies, row.policy, () => policyOf(row.policy))
    const group = this.#groupOf(row)
    if (policy === undefined || group === undefined) return undefined
    const bound: BoundProviderKey[] = []
    for (const id of row.bindings) {
      const key = providerKeys.get(id)
      if (key === undefined) continue
      const made = known(this.#providerKeys, partsOf(key), () => boundProviderKey(this.#deploymentId, key))
      if (made === undefined) return undefined
      bound.push(made)
    }
    return Object.freeze({
      keyId: row.id,
      keyName: row.name,
      organizationId: row.organization_id,
      status: row.status,
      expiresAt: row.expires_at === null ? null : row.expires_at.getTime(),
      policy,
      group,
      budgets: Object.freeze([...row.budgets]),
      providerKeys: Object.freeze(bound),
    })
  }

  #groupOf({ group_id: id, group }: ScopedProxyKeyRow): PrincipalGroup | null | undefined {
    return id === null ? null : known(this.#groups, [id, group], () => groupOf(id, group))
  }
}

/** The part that was made of what is stored in the same words, or a new one; undefined if it can't be made. */
function known<Part extends object>(
  parts: LRUCache<string, Part>,
  stored: unknown,
  make: () => Part | undefined,
): Part | undefined {
  const name = hash('sha256', JSON.stringify(stored), 'base64')
  const found = parts.get(name)
  if (found !== undefined) return found
  const made = make()
  if (made !== undefined) parts.set(name, made)
  return made
}

function policyOf(stored: unknown): Policy | undefined {
  const parsed = parsePolicy(stored)
  return parsed.kind === 'policy' ? parsed.policy : undefined
}

/** All that a bound provider key is made of: not when it was last used. */
function partsOf(row: BudgetedProviderKeyRow): unknown {
  const { id, organization_id, name, provider, base_url, secret_version, envelope, limits, budgets } = row
  const text = envelope.toString('base64')
  return [id, organization_id, name, provider, base_url, secret_version, text, limits, budgets]
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
function groupOf(id: GroupId, stored: unknown): PrincipalGroup | undefined {
  const parsed = storedGroup.safeParse(stored)
  if (!parsed.success) return undefined
  const { name, status, capture } = parsed.data
  const limits = parseLimits(parsed.data.limits)
  return limits === undefined ? undefined : Object.freeze({ id, name, status, limits, capture })
}
