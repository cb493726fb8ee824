import type { ProxyKeyId } from '@latchkey/shared'
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
  let after: ProxyKeyId | undefined
  while (!stopped.aborted) {
    const ids = await outdatedIds(parts, after)
    const last = ids.at(-1)
    if (last === undefined) break
    after = last
    count += await remac(parts, ids)
  }
  return count
}

async function outdatedIds(parts: VaultParts, after: ProxyKeyId | undefined): Promise<readonly ProxyKeyId[]> {
  const outdated = parts.db
    .selectFrom('proxy_key')
    .select('id')
    .where('row_mac_pepper_version', '!=', parts.keyring.active('pepper').version)
    .orderBy('id')
    .limit(batchSize)
  const rows = await (after === undefined ? outdated : outdated.where('id', '>', after)).execute()
  return rows.map((row) => row.id)
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
