import type { Database, GroupId, OrganizationId, ProxyKeyId } from '@latchkey/shared'
import { sql, type Transaction } from 'kysely'
import { pagesById } from './pages.ts'
import { lockProxyKeys } from './proxy-key-row.ts'
import { isAuthentic, macRow } from './row-mac.ts'
import type { VaultParts } from './vault-parts.ts'

const batchSize = 500

/** Whose keys are to end: all of an organization's, or those of one of its groups. */
export interface RevokeAll {
  readonly organizationId: OrganizationId
  readonly group?: GroupId
}

/**
 * Revokes every key that is not revoked yet, all in one transaction, and gives their number. A row that somebody
 * edited is revoked too, but gets no valid MAC: it stays refused. Throws `vault_sealed`.
 */
export function revokeAll(parts: VaultParts, which: RevokeAll): Promise<number> {
  return parts.changes.transact(async (trx, bump) => {
    let count = 0
    // In the order of their ids, in which everybody locks.
    for await (const rows of pagesById((after: ProxyKeyId | undefined) => liveRows(trx, which, after))) {
      const ids = rows.map(({ id }) => id)
      count += await revoke(parts, trx, ids, which.group)
    }
    if (count > 0) await bump('proxy-key')
    return count
  })
}

function liveRows(
  trx: Transaction<Database>,
  { organizationId, group }: RevokeAll,
  after: ProxyKeyId | undefined,
): Promise<readonly { readonly id: ProxyKeyId }[]> {
  let query = trx
    .selectFrom('proxy_key')
    .select('id')
    .where('organization_id', '=', organizationId)
    .where('status', '!=', 'revoked')
  if (group !== undefined) query = query.where('group_id', '=', group)
  if (after !== undefined) query = query.where('id', '>', after)
  return query.orderBy('id').limit(batchSize).execute()
}

async function revoke(
  { keyring, deploymentId, clock, log }: VaultParts,
  trx: Transaction<Database>,
  ids: readonly ProxyKeyId[],
  group: GroupId | undefined,
): Promise<number> {
  // While we waited for a lock the key may have been revoked, or moved out of the group.
  const rows = (await lockProxyKeys(trx, ids)).filter(
    (row) => row.status !== 'revoked' && (group === undefined || row.group_id === group),
  )
  const macs = rows.map((row) => {
    if (isAuthentic(keyring, deploymentId, row))
      return macRow(keyring, deploymentId, { ...row, status: 'revoked', revision: row.revision + 1 })
    log.error('proxy_key.tampered', { keyId: row.id })
    return row
  })
  await sql`
    update proxy_key set
      status = 'revoked', revoked_at = ${new Date(clock.now())}, revision = revision + 1,
      row_mac = revoked.mac, row_mac_pepper_version = revoked.pepper
    from unnest(
      ${rows.map((row) => row.id)}::text[],
      ${macs.map((mac) => mac.row_mac)}::bytea[],
      ${macs.map((mac) => mac.row_mac_pepper_version)}::integer[]
    ) as revoked (id, mac, pepper)
    where proxy_key.id = revoked.id`.execute(trx)
  return rows.length
}
