import type { Database } from '@latchkey/shared'
import { sql, type Transaction } from 'kysely'
import { dateOf } from './bodies.ts'
import { type BodyKeyColumns, openBodyKey, sealBodyKey } from './body-key.ts'
import { ringVersionOffset } from './envelope.ts'
import type { VaultParts } from './vault-parts.ts'

/**
 * Seals the days' keys for bodies anew that are not under the active `secret` key. The keys stay as they are, and so do
 * the bodies. Each row is wholly old or wholly new at every moment, and both open; so it may stop anywhere and be
 * called again. A row that does not open is logged and left as it is. The number of rows sealed anew.
 */
export async function rewrapBodyKeys(parts: VaultParts, stopped: AbortSignal): Promise<number> {
  const active = Buffer.alloc(4)
  active.writeUInt32BE(parts.keyring.active('secret').version)
  // SQL counts bytes from 1.
  const ringVersion = sql<Buffer>`substring(envelope from ${ringVersionOffset + 1}::integer for 4)`
  const rows = await parts.db
    .selectFrom('body_key')
    .select(['organization_id', 'day', 'envelope'])
    .where(ringVersion, '!=', active)
    .orderBy('day')
    .orderBy('organization_id')
    .execute()
  if (rows.length === 0 || stopped.aborted) return 0
  return parts.db.transaction().execute(async (trx) => {
    let count = 0
    for (const row of rows) if (await rewrap(parts, trx, row)) count += 1
    return count
  })
}

async function rewrap(
  { keyring, deploymentId, random, log }: VaultParts,
  trx: Transaction<Database>,
  row: BodyKeyColumns & { readonly envelope: Buffer },
): Promise<boolean> {
  const key = openBodyKey(keyring, deploymentId, row, row.envelope)
  if (key === undefined) {
    log.error('body_key.damaged', { name: dateOf(row.day) })
    return false
  }
  const envelope = sealBodyKey(keyring, deploymentId, row, key.bytes, random)
  key.bytes.fill(0)
  const updated = await trx
    .updateTable('body_key')
    .set({ envelope })
    .where('organization_id', '=', row.organization_id)
    .where('day', '=', row.day)
    .where('envelope', '=', row.envelope)
    .executeTakeFirst()
  return updated.numUpdatedRows > 0n
}
