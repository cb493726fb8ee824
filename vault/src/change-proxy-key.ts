import type { Database, OrganizationId, ProxyKeyId } from '@latchkey/shared'
import type { Transaction } from 'kysely'
import type { Bump } from './changes.ts'
import { insertBindings } from './proxy-key-bindings.ts'
import { lockProxyKeys, type ProxyKeyRow } from './proxy-key-row.ts'
import { type ProxyKey, selectViews, viewOf } from './proxy-key-view.ts'
import { isAuthentic, macRow } from './row-mac.ts'
import type { VaultParts } from './vault-parts.ts'

/** Why a change of a stored key was not made. */
export type Unchangeable =
  | { readonly kind: 'not-found' }
  /** Revoked is final. */
  | { readonly kind: 'revoked' }
  /** Somebody edited the row without the vault; it is refused at the door too. */
  | { readonly kind: 'tampered' }
  /** It is not the revision that was asked for. */
  | { readonly kind: 'conflict' }

export type Changed = { readonly kind: 'changed'; readonly key: ProxyKey } | Unchangeable

/** What a change sets. Empty: the key is as it shall be, and nothing is written. */
export type RowChange = Partial<
  Omit<ProxyKeyRow, 'id' | 'organization_id' | 'revision' | 'row_mac' | 'row_mac_pepper_version'>
>

export interface LockedChange {
  readonly organizationId: OrganizationId
  readonly id: ProxyKeyId
  readonly decide: (row: ProxyKeyRow) => RowChange
  /** Nothing is changed where the key is at another revision. */
  readonly revision?: number | undefined
  /** What else is changed in the transaction, once it is certain that the key may be. */
  readonly alongside?: ((trx: Transaction<Database>, id: ProxyKeyId) => Promise<void>) | undefined
}

/** Changes a key under its lock: makes its MAC anew and tells every process. Throws `vault_sealed`. */
export async function changeLocked(
  { keyring, deploymentId, log }: VaultParts,
  trx: Transaction<Database>,
  bump: Bump,
  { organizationId, id, decide, revision, alongside }: LockedChange,
): Promise<Changed> {
  const [row] = await lockProxyKeys(trx, [id])
  if (row === undefined || row.organization_id !== organizationId) return { kind: 'not-found' }
  if (!isAuthentic(keyring, deploymentId, row)) {
    log.error('proxy_key.tampered', { keyId: id })
    return { kind: 'tampered' }
  }
  if (row.status === 'revoked') return { kind: 'revoked' }
  if (revision !== undefined && row.revision !== revision) return { kind: 'conflict' }
  const change = decide(row)
  const changes = Object.keys(change).length > 0
  if (changes) {
    const next: ProxyKeyRow = { ...row, ...change, revision: row.revision + 1 }
    const { bindings, policy, ...columns } = change
    if (bindings !== undefined) {
      await trx.deleteFrom('proxy_key_binding').where('proxy_key_id', '=', id).execute()
      await insertBindings(trx, [next])
    }
    await trx
      .updateTable('proxy_key')
      .set({
        ...columns,
        ...(policy === undefined ? {} : { policy: JSON.stringify(policy) }),
        revision: next.revision,
        ...macRow(keyring, deploymentId, next),
      })
      .where('id', '=', id)
      .execute()
  }
  await alongside?.(trx, id)
  if (changes || alongside !== undefined) await bump('proxy-key')
  return {
    kind: 'changed',
    key: viewOf(await selectViews(trx).where('id', '=', id).executeTakeFirstOrThrow()),
  }
}
