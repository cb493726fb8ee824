import type { Database, ProviderKeyId, ProxyKeyId, ProxyKeyTable } from '@latchkey/shared'
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'

/** A proxy key as stored, with the provider keys that it uses in their order. */
export interface ProxyKeyRow extends Selectable<ProxyKeyTable> {
  readonly bindings: readonly ProviderKeyId[]
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
