import type { Database, GroupId, OrganizationId, ProviderKeyId, ProxyKeyId } from '@latchkey/shared'
import type { Transaction } from 'kysely'

/** What a proxy key was to be tied to, and is not there. */
export type MissingTie =
  | { readonly kind: 'provider-key-not-found'; readonly name: string }
  | { readonly kind: 'group-not-found' }

/** What the names and ids of one transaction's proxy keys stand for. */
export type Ties =
  | { readonly kind: 'found'; readonly providerKeys: ReadonlyMap<string, ProviderKeyId> }
  | MissingTie

/**
 * Finds provider keys and groups and keeps them until the transaction ends. Call it before a proxy key is locked:
 * whoever removes a provider key locks it first and its proxy keys after that.
 */
export async function holdTies(
  trx: Transaction<Database>,
  organizationId: OrganizationId,
  names: ReadonlySet<string>,
  groups: ReadonlySet<GroupId>,
): Promise<Ties> {
  const providerKeys = new Map<string, ProviderKeyId>()
  if (names.size > 0) {
    const rows = await trx
      .selectFrom('provider_key')
      .select(['id', 'name'])
      .where('organization_id', '=', organizationId)
      .where('name', 'in', [...names])
      .orderBy('id')
      .forKeyShare()
      .execute()
    for (const { id, name } of rows) providerKeys.set(name, id)
  }
  for (const name of names) if (!providerKeys.has(name)) return { kind: 'provider-key-not-found', name }
  if (groups.size > 0) {
    const rows = await trx
      .selectFrom('proxy_group')
      .select('id')
      .where('organization_id', '=', organizationId)
      .where('id', 'in', [...groups])
      .execute()
    // Groups are never removed, so nothing has to be locked for them.
    if (rows.length < groups.size) return { kind: 'group-not-found' }
  }
  return { kind: 'found', providerKeys }
}

/** Ties proxy keys to provider keys, in their order. */
export async function insertBindings(
  trx: Transaction<Database>,
  keys: readonly { readonly id: ProxyKeyId; readonly bindings: readonly ProviderKeyId[] }[],
): Promise<void> {
  const rows = keys.flatMap(({ id, bindings }) =>
    bindings.map((provider_key_id, position) => ({ proxy_key_id: id, position, provider_key_id })),
  )
  if (rows.length > 0) await trx.insertInto('proxy_key_binding').values(rows).execute()
}
