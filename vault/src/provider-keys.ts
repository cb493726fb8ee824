import {
  type Database,
  LatchkeyError,
  type OrganizationId,
  type ProviderKeyId,
  type ProviderKeyTable,
  type ProxyKeyId,
  providerKeyName,
  rateLimitsWire,
  type Secret,
  type StoredLimit,
  uuidv7,
} from '@latchkey/shared'
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'
import { canonicalBaseUrl } from './base-url.ts'
import { isUniqueViolation } from './database-errors.ts'
import { boundProviderKey } from './principal.ts'
import { parseProviderSecret } from './provider-secret.ts'
import { lockProxyKeys, type ProxyKeyRow, selectBoundProviderKeys } from './proxy-key-row.ts'
import { isAuthentic, macRow } from './row-mac.ts'
import { type BoundProviderKey, type ProviderKeyColumns, sealProviderKey } from './sealed-provider-key.ts'
import type { VaultParts } from './vault-parts.ts'

/** A provider key as it may be shown: its secret is never among it. */
export interface ProviderKey {
  readonly id: ProviderKeyId
  readonly organizationId: OrganizationId
  readonly name: string
  readonly provider: string
  /** Canonical, with its version path, without a trailing slash. */
  readonly baseUrl: string
  /** The secret's last four characters; null where it is too short to show any. */
  readonly maskedTail: string | null
  /** Active and paused proxy keys that use it. */
  readonly boundKeys: number
  /** Rate limits of all that is sent with it. */
  readonly limits: readonly StoredLimit[]
  /** Counts every change; give it to `change` to change only what was looked at. */
  readonly revision: number
  readonly createdAt: Date
  readonly rotatedAt: Date | null
  readonly lastUsedAt: Date | null
}

export interface AddProviderKey {
  readonly organizationId: OrganizationId
  readonly name: string
  readonly provider: string
  readonly baseUrl: string
  readonly secret: Secret
}

export type Added = { readonly kind: 'added'; readonly key: ProviderKey } | { readonly kind: 'name-taken' }

export type Found = { readonly kind: 'found'; readonly key: ProviderKey } | { readonly kind: 'not-found' }

/** What of a provider key may change beside its secret; what is left out stays. */
export interface ChangeProviderKey {
  readonly limits?: readonly StoredLimit[]
  /** Change only if the key is still at this revision. */
  readonly revision?: number
  /** What else is changed with it, all or nothing. */
  readonly alongside?: (trx: Transaction<Database>, id: ProviderKeyId) => Promise<void>
}

export type ProviderKeyChanged =
  | { readonly kind: 'changed'; readonly key: ProviderKey }
  | { readonly kind: 'not-found' }
  /** It is not the revision that was asked for. */
  | { readonly kind: 'conflict' }

export type SecretRotated =
  | { readonly kind: 'rotated'; readonly key: ProviderKey }
  | { readonly kind: 'not-found' }

export type Removed =
  | { readonly kind: 'removed'; readonly revoked: readonly ProxyKeyId[] }
  /** Active or paused proxy keys are bound to it. */
  | { readonly kind: 'in-use'; readonly boundKeys: number }
  | { readonly kind: 'not-found' }

const shortestWithTail = 16
const providerShape = /^[a-z][a-z0-9-]{0,63}$/

/** Stores the secrets of providers. Nothing here gives one back. */
export class ProviderKeys {
  readonly #parts: VaultParts

  constructor(parts: VaultParts) {
    this.#parts = parts
  }

  /** Seals and stores a secret. Throws `invalid_request` (naming the field) and `vault_sealed`. */
  async add(input: AddProviderKey): Promise<Added> {
    const { db, keyring, deploymentId, clock, random, changes } = this.#parts
    const name = parseName(input.name)
    if (!providerShape.test(input.provider))
      throw new LatchkeyError('invalid_request', {
        message: 'This is no name of a provider.',
        param: 'provider',
      })
    const secret = parseProviderSecret(input.secret)
    const columns: ProviderKeyColumns = {
      id: uuidv7<ProviderKeyId>(clock, random),
      organization_id: input.organizationId,
      provider: input.provider,
      base_url: canonicalBaseUrl(input.baseUrl),
      secret_version: 1,
    }
    const row: Omit<Selectable<ProviderKeyTable>, 'limits'> = {
      ...columns,
      name,
      envelope: sealProviderKey(keyring, deploymentId, columns, secret, random),
      revision: 1,
      masked_tail: maskedTail(secret),
      created_at: new Date(clock.now()),
      rotated_at: null,
      last_used_at: null,
    }
    try {
      await changes.transact(async (trx) => {
        await trx.insertInto('provider_key').values(row).execute()
      })
    } catch (error) {
      if (isUniqueViolation(error)) return { kind: 'name-taken' }
      throw error
    }
    const found = await read(db, input.organizationId, name)
    return found === undefined ? { kind: 'name-taken' } : { kind: 'added', key: found }
  }

  /** Every provider key of an organization, by name. */
  async list(organizationId: OrganizationId): Promise<readonly ProviderKey[]> {
    const rows = await selectKeys(this.#parts.db)
      .where('organization_id', '=', organizationId)
      .orderBy('name')
      .execute()
    return rows.map(view)
  }

  async get(organizationId: OrganizationId, name: string): Promise<Found> {
    const key = await read(this.#parts.db, organizationId, name)
    return key === undefined ? { kind: 'not-found' } : { kind: 'found', key }
  }

  /** The key made ready to be opened, for a request of the operator's own. Undefined: there is none. */
  async bound(organizationId: OrganizationId, name: string): Promise<BoundProviderKey | undefined> {
    const { db, deploymentId } = this.#parts
    const row = await selectBoundProviderKeys(db)
      .where('organization_id', '=', organizationId)
      .where('name', '=', name)
      .executeTakeFirst()
    return row === undefined ? undefined : boundProviderKey(deploymentId, row)
  }

  /** Changes what `input` names. Throws `invalid_request`, naming the field. */
  async change(
    organizationId: OrganizationId,
    name: string,
    { limits, revision, alongside }: ChangeProviderKey,
  ): Promise<ProviderKeyChanged> {
    const parsed = limits === undefined ? undefined : parseLimits(limits)
    const outcome = await this.#parts.changes.transact(async (trx, bump) => {
      const row = await lockKey(trx, organizationId, name)
      if (row === undefined) return 'not-found'
      if (revision !== undefined && revision !== row.revision) return 'conflict'
      await trx
        .updateTable('provider_key')
        .set({
          ...(parsed === undefined ? {} : { limits: JSON.stringify(parsed) }),
          revision: row.revision + 1,
        })
        .where('id', '=', row.id)
        .execute()
      await alongside?.(trx, row.id)
      await bump('provider-key')
      return 'changed'
    })
    if (outcome !== 'changed') return { kind: outcome }
    const key = await read(this.#parts.db, organizationId, name)
    return key === undefined ? { kind: 'not-found' } : { kind: 'changed', key }
  }

  /** Replaces the secret and nothing else: name, id, origin and bindings stay. Throws `vault_sealed`. */
  async rotate(organizationId: OrganizationId, name: string, input: Secret): Promise<SecretRotated> {
    const { db, keyring, deploymentId, clock, random, changes } = this.#parts
    const secret = parseProviderSecret(input)
    const rotated = await changes.transact(async (trx, bump) => {
      const row = await lockKey(trx, organizationId, name)
      if (row === undefined) return false
      const columns: ProviderKeyColumns = { ...row, secret_version: row.secret_version + 1 }
      await trx
        .updateTable('provider_key')
        .set({
          envelope: sealProviderKey(keyring, deploymentId, columns, secret, random),
          secret_version: columns.secret_version,
          revision: row.revision + 1,
          masked_tail: maskedTail(secret),
          rotated_at: new Date(clock.now()),
        })
        .where('id', '=', row.id)
        .execute()
      await bump('provider-key')
      return true
    })
    const key = rotated ? await read(db, organizationId, name) : undefined
    return key === undefined ? { kind: 'not-found' } : { kind: 'rotated', key }
  }

  /** Removes a provider key; the proxy keys bound to it are a reason to refuse, or are revoked with it. */
  async remove(
    organizationId: OrganizationId,
    name: string,
    options: { readonly revokeKeys: boolean },
  ): Promise<Removed> {
    return this.#parts.changes.transact<Removed>(async (trx, bump) => {
      // Whoever binds to it now waits for this lock, and then finds it gone.
      const row = await lockKey(trx, organizationId, name)
      if (row === undefined) return { kind: 'not-found' }
      const bound = await trx
        .selectFrom('proxy_key_binding')
        .select('proxy_key_id')
        .where('provider_key_id', '=', row.id)
        .execute()
      const keys = await lockProxyKeys(
        trx,
        bound.map((binding) => binding.proxy_key_id),
      )
      const live = keys.filter((key) => key.status !== 'revoked')
      if (live.length > 0 && !options.revokeKeys) return { kind: 'in-use', boundKeys: live.length }
      for (const key of keys) await this.#unbind(trx, key, row.id)
      await trx.deleteFrom('provider_key').where('id', '=', row.id).execute()
      await bump('provider-key')
      return { kind: 'removed', revoked: live.map((key) => key.id) }
    })
  }

  async #unbind(trx: Transaction<Database>, key: ProxyKeyRow, id: ProviderKeyId): Promise<void> {
    const { keyring, deploymentId, clock, log } = this.#parts
    const next: ProxyKeyRow = {
      ...key,
      status: 'revoked',
      revoked_at: key.revoked_at ?? new Date(clock.now()),
      revision: key.revision + 1,
      bindings: key.bindings.filter((binding) => binding !== id),
    }
    const authentic = isAuthentic(keyring, deploymentId, key)
    if (!authentic) log.error('proxy_key.tampered', { keyId: key.id })
    await trx.deleteFrom('proxy_key_binding').where('proxy_key_id', '=', key.id).execute()
    if (next.bindings.length > 0)
      await trx
        .insertInto('proxy_key_binding')
        .values(
          next.bindings.map((providerKeyId, position) => ({
            proxy_key_id: key.id,
            position,
            provider_key_id: providerKeyId,
          })),
        )
        .execute()
    await trx
      .updateTable('proxy_key')
      .set({
        status: next.status,
        revoked_at: next.revoked_at,
        revision: next.revision,
        // A row that somebody edited gets no valid MAC from us: it stays refused.
        ...(authentic ? macRow(keyring, deploymentId, next) : {}),
      })
      .where('id', '=', key.id)
      .execute()
  }
}

function parseName(text: string): string {
  const parsed = providerKeyName.safeParse(text)
  if (!parsed.success)
    throw new LatchkeyError('invalid_request', {
      message: `The name ${parsed.error.issues[0]?.message ?? 'is not valid'}.`,
      param: 'name',
    })
  return parsed.data
}

function parseLimits(limits: readonly StoredLimit[]): readonly StoredLimit[] {
  const parsed = rateLimitsWire.safeParse(limits)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new LatchkeyError('invalid_request', {
    message: `The limits ${issue?.message ?? 'are not valid'}.`,
    param: ['limits', ...(issue?.path ?? [])].join('.'),
  })
}

function maskedTail(secret: Secret): string | null {
  const text = secret.reveal()
  return text.length < shortestWithTail ? null : text.slice(-4)
}

function lockKey(trx: Transaction<Database>, organizationId: OrganizationId, name: string) {
  return trx
    .selectFrom('provider_key')
    .selectAll()
    .where('organization_id', '=', organizationId)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
}

function selectKeys(db: Kysely<Database>) {
  return db
    .selectFrom('provider_key')
    .select([
      'id',
      'organization_id',
      'name',
      'provider',
      'base_url',
      'masked_tail',
      'limits',
      'revision',
      'created_at',
      'rotated_at',
      'last_used_at',
    ])
    .select(
      sql<number>`(
        select count(*)::integer from proxy_key_binding as binding
        join proxy_key on proxy_key.id = binding.proxy_key_id
        where binding.provider_key_id = provider_key.id and proxy_key.status <> 'revoked')`.as('bound_keys'),
    )
}

async function read(
  db: Kysely<Database>,
  organizationId: OrganizationId,
  name: string,
): Promise<ProviderKey | undefined> {
  const row = await selectKeys(db)
    .where('organization_id', '=', organizationId)
    .where('name', '=', name)
    .executeTakeFirst()
  return row === undefined ? undefined : view(row)
}

type ViewedRow = Awaited<ReturnType<ReturnType<typeof selectKeys>['executeTakeFirstOrThrow']>>

function view(row: ViewedRow): ProviderKey {
  return {
    id: row.id,
    organizationId: row.organization_id,
    name: row.name,
    provider: row.provider,
    baseUrl: row.base_url,
    maskedTail: row.masked_tail,
    boundKeys: row.bound_keys,
    limits: row.limits,
    revision: row.revision,
    createdAt: row.created_at,
    rotatedAt: row.rotated_at,
    lastUsedAt: row.last_used_at,
  }
}
