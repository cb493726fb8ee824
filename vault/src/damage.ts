import type { ProviderKeyId, ProxyKeyId } from '@latchkey/shared'
import { LatchkeyError } from '@latchkey/shared'
import { pagesById } from './pages.ts'
import { selectProxyKeys } from './proxy-key-row.ts'
import { RecordKeys } from './record-keys.ts'
import { isAuthentic } from './row-mac.ts'
import { openProviderKey, prepareProviderKey } from './sealed-provider-key.ts'
import type { VaultParts } from './vault-parts.ts'

/** A row that does not open, or whose MAC is not ours: it does not work, and must be replaced. */
export interface DamagedRow {
  readonly kind: 'provider-key' | 'proxy-key'
  readonly id: ProviderKeyId | ProxyKeyId
  readonly name: string
}

export interface DamageReport {
  /** How many rows were opened. */
  readonly providerKeys: number
  /** How many rows had their MAC compared. */
  readonly proxyKeys: number
  readonly damaged: readonly DamagedRow[]
}

const pageSize = 200

/** Opens every provider key and compares every proxy key's MAC. Throws `vault_sealed`. */
export async function findDamage(parts: VaultParts): Promise<DamageReport> {
  const damaged: DamagedRow[] = []
  const providerKeys = await checkProviderKeys(parts, damaged)
  const proxyKeys = await checkProxyKeys(parts, damaged)
  return { providerKeys, proxyKeys, damaged }
}

async function checkProviderKeys(parts: VaultParts, damaged: DamagedRow[]): Promise<number> {
  const { db, keyring, deploymentId } = parts
  // Its own: the whole table would push the busy keys out of the shared cache.
  const recordKeys = new RecordKeys(1)
  const all = db.selectFrom('provider_key').selectAll().orderBy('id').limit(pageSize)
  let count = 0
  for await (const rows of pagesById((after: ProviderKeyId | undefined) =>
    (after === undefined ? all : all.where('id', '>', after)).execute(),
  )) {
    for (const row of rows) {
      const sealed = prepareProviderKey(deploymentId, row, row.envelope)
      const opened = openProviderKey(keyring, recordKeys, sealed)
      if (opened.kind === 'sealed') throw new LatchkeyError('vault_sealed')
      if (opened.kind === 'damaged') damaged.push({ kind: 'provider-key', id: row.id, name: row.name })
    }
    recordKeys.wipe()
    count += rows.length
  }
  return count
}

async function checkProxyKeys(parts: VaultParts, damaged: DamagedRow[]): Promise<number> {
  const { db, keyring, deploymentId } = parts
  const all = selectProxyKeys(db).orderBy('id').limit(pageSize)
  let count = 0
  for await (const rows of pagesById((after: ProxyKeyId | undefined) =>
    (after === undefined ? all : all.where('id', '>', after)).execute(),
  )) {
    for (const row of rows)
      if (!isAuthentic(keyring, deploymentId, row))
        damaged.push({ kind: 'proxy-key', id: row.id, name: row.name })
    count += rows.length
  }
  return count
}
