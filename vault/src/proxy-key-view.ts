import type { Database, OrganizationId, ProxyKeyId } from '@latchkey/shared'
import { type Kysely, type SelectQueryBuilder, sql } from 'kysely'
import type { Policy } from './policy.ts'

/** A proxy key as it may be shown: nothing in it lets anybody in. */
export interface ProxyKey {
  readonly id: ProxyKeyId
  readonly organizationId: OrganizationId
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  readonly policy: Policy
  /** As stored. Whether it has expired is a matter of `expiresAt` and the time. */
  readonly status: 'active' | 'paused' | 'revoked'
  readonly expiresAt: Date | null
  /** Names of provider keys, in the order in which they are tried. */
  readonly providerKeys: readonly string[]
  /** Until when the secret before the last rotation works; null where there is none. */
  readonly previousExpiresAt: Date | null
  /** Counts every change; give it to `rotate` to change only what was looked at. */
  readonly revision: number
  readonly createdAt: Date
  readonly rotatedAt: Date | null
  readonly revokedAt: Date | null
  readonly lastUsedAt: Date | null
}

/** Proxy keys for people: with names of provider keys, without hashes. */
export function selectViews(db: Kysely<Database>): SelectQueryBuilder<Database, 'proxy_key', ProxyKey> {
  return db
    .selectFrom('proxy_key')
    .select([
      'id',
      'organization_id as organizationId',
      'name',
      'description',
      'tags',
      'policy',
      'status',
      'expires_at as expiresAt',
      'previous_expires_at as previousExpiresAt',
      'revision',
      'created_at as createdAt',
      'rotated_at as rotatedAt',
      'revoked_at as revokedAt',
      'last_used_at as lastUsedAt',
    ])
    .select(
      sql<readonly string[]>`array(
        select provider_key.name from proxy_key_binding as binding
        join provider_key on provider_key.id = binding.provider_key_id
        where binding.proxy_key_id = proxy_key.id order by binding.position)`.as('providerKeys'),
    )
}
