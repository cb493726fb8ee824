import { setTimeout as pause } from 'node:timers/promises'
import { type Database, errorFields, type Log, type OrganizationId } from '@latchkey/shared'
import type { ChangeFeed } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { PriceFile } from './price-file.ts'
import { overrideFile, type PriceOverride, readOverrides } from './price-overrides.ts'
import { PriceTable } from './price-table.ts'

export interface PriceBookOptions {
  /** The built-in prices, and the operator's file over them. */
  readonly files: readonly PriceFile[]
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  /** Tells when an override may have changed, here or in another process. */
  readonly changes: Pick<ChangeFeed, 'watch'>
  readonly log: Log
  /** Milliseconds until overrides that could not be read are read again. */
  readonly retryAfterMs?: number
}

/**
 * The prices of this moment: what operators set by the API, over their file, over the built-in ones. A change
 * is in force here as soon as the change feed tells of it, within the bound of a revocation. While the database
 * can't be read, the prices stay as they were. What has begun keeps the `Price` that it was given.
 */
export class PriceBook {
  readonly #options: PriceBookOptions
  readonly #closing = new AbortController()
  #current: PriceTable
  /** Of the overrides in `#current`: most changes that the feed tells of are none of prices. */
  #fingerprint = ''
  #stopWatching: (() => void) | undefined
  #reads = 0
  #taken = 0
  #reading: Promise<void> | undefined
  #readAgain = false

  constructor(options: PriceBookOptions) {
    this.#options = options
    this.#current = new PriceTable(options.files)
  }

  /** Reads the overrides, then follows their changes. Throws if this first read fails. */
  async start(): Promise<void> {
    this.#stopWatching = this.#options.changes.watch(() => void this.#follow())
    await this.refresh()
  }

  /** What holds for a request that begins now. */
  get current(): PriceTable {
    return this.#current
  }

  /** Names the prices of this moment. */
  get version(): string {
    return this.#current.version
  }

  /** The table that these overrides would make. */
  tableWith(overrides: readonly PriceOverride[]): PriceTable {
    return new PriceTable([...this.#options.files, ...overrides.map(overrideFile)])
  }

  /** Takes over the overrides as they are now. Throws what reading them throws. */
  async refresh(): Promise<void> {
    const { database, organizationId, log } = this.#options
    const read = ++this.#reads
    const overrides = await readOverrides(database, organizationId)
    // One that began later has been faster: this one may be older.
    if (read < this.#taken) return
    this.#taken = read
    const fingerprint = overrides
      .map(({ provider, model, revision, updatedAt }) =>
        [provider, model, revision, updatedAt.getTime()].join('\n'),
      )
      .join('\n')
    if (fingerprint === this.#fingerprint) return
    for (const { provider, model, entry } of overrides) {
      if (entry === null) log.error('prices.override_unreadable', { provider, model })
    }
    this.#current = this.tableWith(overrides)
    this.#fingerprint = fingerprint
    log.info('prices.changed', { version: this.#current.version })
  }

  async close(): Promise<void> {
    this.#stopWatching?.()
    this.#closing.abort()
    await this.#reading
  }

  /** One read at a time; a change during it asks for one more after it. */
  #follow(): Promise<void> {
    this.#readAgain = true
    this.#reading ??= this.#readUntilQuiet()
    return this.#reading
  }

  async #readUntilQuiet(): Promise<void> {
    const { signal } = this.#closing
    const { log, retryAfterMs = 1000 } = this.#options
    let failed = false
    while (this.#readAgain && !signal.aborted) {
      this.#readAgain = false
      try {
        await this.refresh()
        failed = false
      } catch (error) {
        if (!failed) log.warn('prices.read_failed', errorFields(error))
        failed = true
        this.#readAgain = true
        await pause(retryAfterMs, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
    // In the same turn as the last look at the flag: a change in between would get no read of its own.
    this.#reading = undefined
  }
}
