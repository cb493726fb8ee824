import type { Database, ProviderKeyId, ProviderKeyTable } from '@latchkey/shared'
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'
import { ringVersionOffset } from './envelope.ts'
import { pagesById } from './pages.ts'
import { RecordKeys } from './record-keys.ts'
import { openProviderKey, prepareProviderKey, sealProviderKey } from './sealed-provider-key.ts'
import type { VaultParts } from './vault-parts.ts'

const batchSize = 100

/**
 * Seals every provider key that is not under the active `secret` key anew. Each row is wholly old or
 * wholly new at every moment, and both open; so it may stop anywhere and be called again. A row that does
 * not open is logged and left as it is. The number of rows sealed anew.
 */
export async function reencryptProviderKeys(parts: VaultParts, stopped: AbortSignal): Promise<number> {
  let count = 0
  for await (const rows of pagesById((after: ProviderKeyId | undefined) => outdatedRows(parts, after))) {
    if (stopped.aborted) break
    count += await parts.changes.transact(async (trx, bump) => {
      let written = 0
      for (const row of rows) if (await reencrypt(parts, trx, row)) written += 1
      if (written > 0) await bump('provider-key')
      return written
    })
  }
  return count
}

type Row = Selectable<ProviderKeyTable>

function outdatedRows(parts: VaultParts, after: ProviderKeyId | undefined): Promise<readonly Row[]> {
  const active = Buffer.alloc(4)
  active.writeUInt32BE(parts.keyring.active('secret').version)
  // SQL counts bytes from 1.
  const ringVersion = sql<Buffer>`substring(envelope from ${ringVersionOffset + 1}::integer for 4)`
  return selectAfter(parts.db, after).where(ringVersion, '!=', active).limit(batchSize).execute()
}

function selectAfter(db: Kysely<Database>, after: ProviderKeyId | undefined) {
  const query = db.selectFrom('provider_key').selectAll().orderBy('id')
  return after === undefined ? query : query.where('id', '>', after)
}

async function reencrypt(parts: VaultParts, trx: Transaction<Database>, row: Row): Promise<boolean> {
  const { keyring, deploymentId, random, log } = parts
  const recordKeys = new RecordKeys(1)
  const opened = openProviderKey(keyring, recordKeys, prepareProviderKey(deploymentId, row, row.envelope))
  recordKeys.wipe()
  if (opened.kind !== 'opened') {
    log.error('provider_key.damaged', { providerKeyId: row.id })
    return false
  }
  const updated = await trx
    .updateTable('provider_key')
    .set({
      envelope: sealProviderKey(keyring, deploymentId, row, opened.secret, random),
      revision: row.revision + 1,
    })
    .where('id', '=', row.id)
    .where('revision', '=', row.revision)
    .where('envelope', '=', row.envelope)
    .executeTakeFirst()
  // None: it was rotated meanwhile, and so sealed under the active key already.
  return updated.numUpdatedRows > 0n
}
