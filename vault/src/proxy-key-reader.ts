import type { Database, ProviderKeyId, ProviderKeyTable, ProxyKeyId } from '@latchkey/shared'
import type { Kysely, Selectable } from 'kysely'
import type { ChangeFeed, Moment } from './changes.ts'
import { type ProxyKeyRow, selectProxyKeys } from './proxy-key-row.ts'

export interface StoredProxyKey {
  readonly row: ProxyKeyRow
  /** Those that its bindings name. */
  readonly providerKeys: ReadonlyMap<ProviderKeyId, Selectable<ProviderKeyTable>>
}

/** What a read saw, and how old that is at most. */
export interface Reading {
  /** Undefined: there is no such key. */
  readonly stored: StoredProxyKey | undefined
  /** The change feed's generation before the read began. */
  readonly generation: number
  readonly began: Moment
}

export type ReadResult =
  | { readonly kind: 'read'; readonly reading: Reading }
  /** As many reads wait as may wait. */
  | { readonly kind: 'overloaded' }

const batchSize = 200
const mostWaiting = 10_000

/**
 * Reads proxy keys by id. One query is on its way at a time, and those that are asked for meanwhile share
 * the next: a flood of unknown ids costs the database one connection and few statements, however wide.
 */
export class ProxyKeyReader {
  readonly #db: Kysely<Database>
  readonly #changes: ChangeFeed
  readonly #waiting = new Map<ProxyKeyId, PromiseWithResolvers<ReadResult>>()
  #running = false

  constructor(db: Kysely<Database>, changes: ChangeFeed) {
    this.#db = db
    this.#changes = changes
  }

  /** Reads a key; the read begins after this call. Throws what the database throws. */
  read(id: ProxyKeyId): Promise<ReadResult> {
    const shared = this.#waiting.get(id)
    if (shared !== undefined) return shared.promise
    if (this.#waiting.size >= mostWaiting) return Promise.resolve({ kind: 'overloaded' })
    const waiting = Promise.withResolvers<ReadResult>()
    this.#waiting.set(id, waiting)
    if (!this.#running) void this.#run()
    return waiting.promise
  }

  async #run(): Promise<void> {
    this.#running = true
    // Whoever asks in the same tick comes along.
    await Promise.resolve()
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].slice(0, batchSize)
      for (const [id] of batch) this.#waiting.delete(id)
      try {
        const generation = this.#changes.generation
        const began = this.#changes.moment()
        const stored = await readBatch(
          this.#db,
          batch.map(([id]) => id),
        )
        for (const [id, waiting] of batch)
          waiting.resolve({ kind: 'read', reading: { stored: stored.get(id), generation, began } })
      } catch (error) {
        for (const [, waiting] of batch) waiting.reject(error)
      }
    }
    this.#running = false
  }
}

async function readBatch(
  db: Kysely<Database>,
  ids: readonly ProxyKeyId[],
): Promise<ReadonlyMap<ProxyKeyId, StoredProxyKey>> {
  const rows = await selectProxyKeys(db).where('id', 'in', ids).execute()
  const bound = new Set(rows.flatMap((row) => row.bindings))
  const keys =
    bound.size === 0
      ? []
      : await db
          .selectFrom('provider_key')
          .selectAll()
          .where('id', 'in', [...bound])
          .execute()
  const providerKeys = new Map(keys.map((key) => [key.id, key]))
  return new Map(rows.map((row) => [row.id, { row, providerKeys }]))
}
