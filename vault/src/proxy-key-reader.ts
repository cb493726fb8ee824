import type { ProviderKeyId, ProxyKeyId } from '@latchkey/shared'
import { BatchedReads, type ReadResult } from './batched-reads.ts'
import { ringVersionOf } from './envelope.ts'
import {
  type BudgetedProviderKeyRow,
  type ProxyKeyRow,
  type ScopedProxyKeyRow,
  selectBoundProviderKeys,
  selectProxyKeys,
  selectWithScopes,
} from './proxy-key-row.ts'
import { isAuthentic } from './row-mac.ts'
import type { VaultParts } from './vault-parts.ts'

export interface StoredRow {
  readonly row: ProxyKeyRow
}

export interface StoredProxyKey extends StoredRow {
  readonly row: ScopedProxyKeyRow
  /** Those that its bindings name. */
  readonly providerKeys: ReadonlyMap<ProviderKeyId, BudgetedProviderKeyRow>
}

/** A stored key whose MAC has been compared. */
export type Checked<Stored> =
  | { readonly kind: 'authentic'; readonly stored: Stored }
  | { readonly kind: 'tampered' }

// Less than argon2 takes, for which the first use of a right token waits anyway.
const pauseMs = 10

/**
 * Reads proxy keys by id, in two lanes of one connection each, so that those who guess never stand before those
 * who know. Both throw what the database throws, and `vault_sealed`.
 */
export class ProxyKeyReader {
  readonly #parts: VaultParts
  readonly #rows: BatchedReads<ProxyKeyId, Checked<StoredRow>>
  readonly #keys: BatchedReads<ProxyKeyId, Checked<StoredProxyKey>>

  constructor(parts: VaultParts) {
    const { changes } = parts
    this.#parts = parts
    this.#rows = new BatchedReads({ changes, pauseMs, read: (ids) => this.#readRows(ids) })
    this.#keys = new BatchedReads({ changes, pauseMs: 0, read: (ids) => this.#readKeys(ids) })
  }

  /**
   * The row alone, to compare a token with that may be bogus. Under a flood of these the database gets one
   * statement in 10 ms, and each bogus token costs its share of it.
   */
  row(id: ProxyKeyId): Promise<ReadResult<Checked<StoredRow>>> {
    return this.#rows.read(id)
  }

  /** All that a principal is made of, at once: for a token that is right, or was when it was last seen. */
  key(id: ProxyKeyId): Promise<ReadResult<Checked<StoredProxyKey>>> {
    return this.#keys.read(id)
  }

  async #readRows(ids: readonly ProxyKeyId[]): Promise<ReadonlyMap<ProxyKeyId, Checked<StoredRow>>> {
    const rows = await selectProxyKeys(this.#parts.db).where('id', 'in', ids).execute()
    await this.#knowKeysOf(rows, [])
    return new Map(rows.map((row) => [row.id, this.#check({ row })]))
  }

  async #readKeys(ids: readonly ProxyKeyId[]): Promise<ReadonlyMap<ProxyKeyId, Checked<StoredProxyKey>>> {
    const { db } = this.#parts
    const rows = await selectWithScopes(db).where('id', 'in', ids).execute()
    const bound = new Set(rows.flatMap((row) => row.bindings))
    const keys =
      bound.size === 0
        ? []
        : await selectBoundProviderKeys(db)
            .where('id', 'in', [...bound])
            .execute()
    await this.#knowKeysOf(rows, keys)
    const providerKeys = new Map(keys.map((key) => [key.id, key]))
    return new Map(rows.map((row) => [row.id, this.#check({ row, providerKeys })]))
  }

  /** Another process may have written a row under a ring key that this one has not been told of: it was suspended, say. */
  async #knowKeysOf(rows: readonly ProxyKeyRow[], keys: readonly BudgetedProviderKeyRow[]): Promise<void> {
    const { keyring, learnKeys } = this.#parts
    if (keyring.sealed) return
    const known =
      rows.every((row) => peppersOf(row).every((version) => keyring.has('pepper', version))) &&
      keys.every(({ envelope }) => {
        const version = ringVersionOf(envelope)
        return version === null || keyring.has('secret', version)
      })
    if (!known) await learnKeys()
  }

  /** Once a row and read, however many tokens name it. */
  #check<Stored extends StoredRow>(stored: Stored): Checked<Stored> {
    const { keyring, deploymentId, log } = this.#parts
    if (isAuthentic(keyring, deploymentId, stored.row)) return { kind: 'authentic', stored }
    log.error('proxy_key.tampered', { keyId: stored.row.id })
    return { kind: 'tampered' }
  }
}

function peppersOf(row: ProxyKeyRow): readonly number[] {
  const { pepper_version, row_mac_pepper_version, previous_pepper_version } = row
  const always = [pepper_version, row_mac_pepper_version]
  return previous_pepper_version === null ? always : [...always, previous_pepper_version]
}
