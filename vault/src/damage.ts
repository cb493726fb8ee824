import type { ProviderKeyId, ProxyKeyId } from '@latchkey/shared'
import { LatchkeyError } from '@latchkey/shared'
import { dateOf } from './bodies.ts'
import { openBodyKey } from './body-key.ts'
import { pagesById } from './pages.ts'
import { selectProxyKeys } from './proxy-key-row.ts'
import { RecordKeys } from './record-keys.ts'
import { isAuthentic } from './row-mac.ts'
import { openProviderKey, prepareProviderKey } from './sealed-provider-key.ts'
import type { VaultParts } from './vault-parts.ts'

/** A row that does not open, or whose MAC is not ours: it does not work, and must be replaced. */
export interface DamagedRow {
  readonly kind: 'provider-key' | 'proxy-key' | 'body-key'
  readonly id: string
  readonly name: string
}

export interface DamageReport {
  /** How many rows were opened. */
  readonly providerKeys: number
  /** How many rows had their MAC compared. */
  readonly proxyKeys: number
  /** How many days' keys for captured bodies were opened; the bodies are opened when they are read. */
  readonly bodyKeys: number
  readonly damaged: readonly DamagedRow[]
}

const pageSize = 200

/** Opens every provider key and every day's key for bodies, and compares every proxy key's MAC. Throws `vault_sealed`. */
export async function findDamage(parts: VaultParts): Promise<DamageReport> {
  const damaged: DamagedRow[] = []
  const providerKeys = await checkProviderKeys(parts, damaged)
  const proxyKeys = await checkProxyKeys(parts, damaged)
  const bodyKeys = await checkBodyKeys(parts, damaged)
  return { providerKeys, proxyKeys, bodyKeys, damaged }
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

/** There is one a day, for as long as records are kept. */
async function checkBodyKeys(
  { db, keyring, deploymentId }: VaultParts,
  damaged: DamagedRow[],
): Promise<number> {
  const rows = await db
    .selectFrom('body_key')
    .select(['organization_id', 'day', 'envelope'])
    .orderBy('day')
    .execute()
  for (const row of rows) {
    const key = openBodyKey(keyring, deploymentId, row, row.envelope)
    key?.bytes.fill(0)
    if (key === undefined) damaged.push({ kind: 'body-key', id: String(row.day), name: dateOf(row.day) })
  }
  return rows.length
}
