import type {
  BudgetId,
  Database,
  ProviderKeyId,
  ProviderKeyTable,
  ProxyKeyId,
  ProxyKeyTable,
} from '@latchkey/shared'
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'

/** A proxy key as stored, with the provider keys that it uses in their order. */
export interface ProxyKeyRow extends Selectable<ProxyKeyTable> {
  readonly bindings: readonly ProviderKeyId[]
}

/** What a principal is made of. */
export interface ScopedProxyKeyRow extends ProxyKeyRow {
  /** As JSON, unchecked; null where the key is in none. */
  readonly group: unknown
  /** Of the key, its group and its organization. */
  readonly budgets: readonly BudgetId[]
}

/** A provider key as a principal holds it. */
export interface BudgetedProviderKeyRow extends Selectable<ProviderKeyTable> {
  readonly budgets: readonly BudgetId[]
}

/** Proxy keys with their bindings, by one statement: so no change can fall between the two. */
export function selectProxyKeys(db: Kysely<Database>) {
  return db
    .selectFrom('proxy_key')
    .selectAll('proxy_key')
    .select(
      sql<ProviderKeyId[]>`array(
        select provider_key_id from proxy_key_binding
        where proxy_key_id = proxy_key.id order by position)`.as('bindings'),
    )
}

/** The same with the key's group and the budgets that pay for it: what its principal is made of. */
export function selectWithScopes(db: Kysely<Database>) {
  return selectProxyKeys(db)
    .select(
      sql<unknown>`(
        select jsonb_build_object('name', name, 'status', status, 'limits', limits, 'capture', capture)
        from proxy_group where proxy_group.id = proxy_key.group_id)`.as('group'),
    )
    .select(
      sql<BudgetId[]>`array(
        select id from budget where (scope_kind, scope_id) in (
          ('key', proxy_key.id), ('group', proxy_key.group_id::text), ('organization', proxy_key.organization_id::text))
          and status <> 'removed'
        order by id)`.as('budgets'),
    )
}

/** Provider keys with the budgets that pay for them. */
export function selectBoundProviderKeys(db: Kysely<Database>) {
  return db
    .selectFrom('provider_key')
    .selectAll('provider_key')
    .select(
      sql<BudgetId[]>`array(
        select id from budget where scope_kind = 'provider_key' and scope_id = provider_key.id::text
          and status <> 'removed'
        order by id)`.as('budgets'),
    )
}

/** The rows of `ids`, locked until the transaction ends. In the order of their ids, so that nobody deadlocks. */
export async function lockProxyKeys(
  trx: Transaction<Database>,
  ids: readonly ProxyKeyId[],
): Promise<readonly ProxyKeyRow[]> {
  if (ids.length === 0) return []
  await trx.selectFrom('proxy_key').select('id').where('id', 'in', ids).orderBy('id').forUpdate().execute()
  // A second statement: the first one's snapshot may be older than the locks that it waited for.
  return selectProxyKeys(trx).where('id', 'in', ids).orderBy('id').execute()
}
