import type { ProxyKeyId } from '@latchkey/shared'
import { pagesById } from './pages.ts'
import { lockProxyKeys } from './proxy-key-row.ts'
import { isAuthentic, macRow } from './row-mac.ts'
import type { VaultParts } from './vault-parts.ts'

const batchSize = 100

/**
 * Makes the MAC of every proxy key whose MAC is not under the active pepper anew. Fingerprints and
 * verifiers keep the version they were made under until the key gets a new secret. It may stop anywhere
 * and be called again. An edited row is logged and gets no valid MAC. The number of rows written.
 */
export async function remacProxyKeys(parts: VaultParts, stopped: AbortSignal): Promise<number> {
  let count = 0
  for await (const rows of pagesById((after: ProxyKeyId | undefined) => outdatedRows(parts, after))) {
    if (stopped.aborted) break
    count += await remac(
      parts,
      rows.map(({ id }) => id),
    )
  }
  return count
}

function outdatedRows(
  parts: VaultParts,
  after: ProxyKeyId | undefined,
): Promise<readonly { readonly id: ProxyKeyId }[]> {
  const outdated = parts.db
    .selectFrom('proxy_key')
    .select('id')
    .where('row_mac_pepper_version', '!=', parts.keyring.active('pepper').version)
    .orderBy('id')
    .limit(batchSize)
  return (after === undefined ? outdated : outdated.where('id', '>', after)).execute()
}

function remac(parts: VaultParts, ids: readonly ProxyKeyId[]): Promise<number> {
  const { keyring, deploymentId, changes, log } = parts
  return changes.transact(async (trx, bump) => {
    let written = 0
    for (const row of await lockProxyKeys(trx, ids)) {
      if (!isAuthentic(keyring, deploymentId, row)) {
        log.error('proxy_key.tampered', { keyId: row.id })
        continue
      }
      const next = { ...row, revision: row.revision + 1 }
      await trx
        .updateTable('proxy_key')
        .set({ revision: next.revision, ...macRow(keyring, deploymentId, next) })
        .where('id', '=', row.id)
        .where('revision', '=', row.revision)
        .execute()
      written += 1
    }
    if (written > 0) await bump('proxy-key')
    return written
  })
}
