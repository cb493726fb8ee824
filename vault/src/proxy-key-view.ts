import type { Database, GroupId, OrganizationId, ProxyKeyId, StoredPolicy } from '@latchkey/shared'
import { type Kysely, sql } from 'kysely'
import { type Policy, shownPolicy } from './policy.ts'

/** A proxy key as it may be shown: nothing in it lets anybody in. */
export interface ProxyKey {
  readonly id: ProxyKeyId
  readonly organizationId: OrganizationId
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  readonly email: string | null
  readonly group: ProxyKeyGroup | null
  readonly policy: Policy
  /** As stored. Whether it has expired is a matter of `expiresAt` and the time. */
  readonly status: 'active' | 'paused' | 'revoked'
  readonly expiresAt: Date | null
  /** Names of provider keys, in the order in which they are tried. */
  readonly providerKeys: readonly string[]
  /** Until when the secret before the last rotation works; null where there is none. */
  readonly previousExpiresAt: Date | null
  /** Counts every change; give it to `rotate` or `change` to change only what was looked at. */
  readonly revision: number
  readonly createdAt: Date
  readonly rotatedAt: Date | null
  readonly revokedAt: Date | null
  /** When it was revoked as compromised; null where it was not. */
  readonly compromisedAt: Date | null
  readonly lastUsedAt: Date | null
}

/** The group that a key is in. While it is paused, the key is refused whatever its own status is. */
export interface ProxyKeyGroup {
  readonly id: GroupId
  readonly name: string
  readonly status: 'active' | 'paused'
}

/** A row of `selectViews`: its policy is as the database has it. */
export interface ProxyKeyViewRow extends Omit<ProxyKey, 'policy'> {
  readonly policy: StoredPolicy
}

/** Proxy keys for people: with names of groups and provider keys, without hashes. Each goes through `viewOf`. */
export function selectViews(db: Kysely<Database>) {
  return db
    .selectFrom('proxy_key')
    .select([
      'id',
      'organization_id as organizationId',
      'name',
      'description',
      'tags',
      'email',
      'policy',
      'status',
      'expires_at as expiresAt',
      'previous_expires_at as previousExpiresAt',
      'revision',
      'created_at as createdAt',
      'rotated_at as rotatedAt',
      'revoked_at as revokedAt',
      'compromised_at as compromisedAt',
      'last_used_at as lastUsedAt',
    ])
    .select([
      sql<ProxyKeyGroup | null>`(
        select jsonb_build_object('id', id, 'name', name, 'status', status)
        from proxy_group where proxy_group.id = proxy_key.group_id)`.as('group'),
      sql<readonly string[]>`array(
        select provider_key.name from proxy_key_binding as binding
        join provider_key on provider_key.id = binding.provider_key_id
        where binding.proxy_key_id = proxy_key.id order by binding.position)`.as('providerKeys'),
    ])
}

/** What may be shown of a row. */
export function viewOf(row: ProxyKeyViewRow): ProxyKey {
  return { ...row, policy: shownPolicy(row.policy) }
}
