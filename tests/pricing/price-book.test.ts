import { createLog, type PriceEntry } from '@latchkey/shared'
import { postgresListener } from '@latchkey/shared/database'
import type { Vault } from '@latchkey/vault'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { builtInPrices } from '../../gateway/src/pricing/load-prices.ts'
import { PriceBook } from '../../gateway/src/pricing/price-book.ts'
import { parsePriceFile } from '../../gateway/src/pricing/price-file.ts'
import { deleteOverride, writeOverride } from '../../gateway/src/pricing/price-overrides.ts'
import type { TestDatabase } from '../support/database.ts'
import { type RecordedLog, recordLog } from '../support/recorded-log.ts'
import { testVault } from '../vault/fixture.ts'
import { today } from './priced.ts'

const name = { provider: 'openai', model: 'gpt-4o' }
const entry = (input: number): PriceEntry => ({ source: 'contract', prices: [{ standard: { input } }] })
const file = parsePriceFile({ version: 'acme', models: { openai: { 'gpt-4o': entry(20) } } }, 'acme.json')

interface Started {
  readonly vault: Vault
  readonly book: PriceBook
  readonly log: RecordedLog
}

/** The book of one process. */
async function startBook(vault: Vault, database: TestDatabase): Promise<Started> {
  const log = recordLog()
  const book = new PriceBook({
    files: [builtInPrices(), file],
    database: database.kysely,
    organizationId: vault.defaultOrganizationId,
    changes: vault.changes,
    log,
    retryAfterMs: 20,
  })
  onTestFinished(() => book.close())
  await book.start()
  return { vault, book, log }
}

function set(vault: Vault, input: number): Promise<void> {
  return vault.changes.transact(async (trx, bump) => {
    await writeOverride(trx, vault.defaultOrganizationId, name, entry(input), new Date())
    await bump('prices')
  })
}

/** A change of something else. */
function change(vault: Vault): Promise<void> {
  return vault.changes.transact((_trx, bump) => bump('proxy-key'))
}

function inputOf({ book }: Started): bigint | null {
  const found = book.current.find(name.provider, name.model, today)
  return found.kind === 'unpriced' ? null : found.price.tiers.standard.short.input
}

describe('the prices of a process', () => {
  test('are those of the API over those of the file over the built-in ones', async () => {
    const { vault, database } = await testVault()
    const started = await startBook(vault, database)
    expect(inputOf(started)).toBe(20n)
    expect(started.book.version).toBe('2026-11-21+acme')
    await set(vault, 30)
    await started.book.refresh()
    expect(inputOf(started)).toBe(30n)
    expect(started.book.version).toMatch(/^2026-11-21\+acme\+api-/)
    await vault.changes.transact(async (trx, bump) => {
      await deleteOverride(trx, vault.defaultOrganizationId, name)
      await bump('prices')
    })
    await started.book.refresh()
    expect(inputOf(started)).toBe(20n)
  })

  test('are read at its start', async () => {
    const { vault, database } = await testVault()
    await set(vault, 30)
    expect(inputOf(await startBook(vault, database))).toBe(30n)
  })

  test('follow those that another process sets by NOTIFY long before its poll', async () => {
    const { vault, database, open } = await testVault()
    const listener = postgresListener(database.connection, createLog('silent'))
    const other = await startBook(await open({ listener }), database)
    // A NOTIFY before it listens would be found by the poll alone.
    await vi.waitFor(async () => {
      const { rows } = await database.pool.query(
        "select 1 from pg_stat_activity where query ilike 'listen%' and datname = current_database()",
      )
      expect(rows).toHaveLength(1)
    }, 10_000)
    const changed = other.log.next('prices.changed')
    const began = performance.now()
    await set(vault, 30)
    await changed
    expect(performance.now() - began).toBeLessThan(1000)
    expect(inputOf(other)).toBe(30n)
  })

  test('follow those that another process sets by the next poll without NOTIFY', async () => {
    const { vault, database, open } = await testVault()
    const other = await startBook(await open(), database)
    const changed = other.log.next('prices.changed')
    const began = performance.now()
    await set(vault, 30)
    await changed
    expect(performance.now() - began).toBeLessThan(4000)
    expect(inputOf(other)).toBe(30n)
  })

  test('stay as they are while the database can’t be read, and follow once it can', async () => {
    const { vault, database } = await testVault()
    const started = await startBook(vault, database)
    await database.pool.query('alter table price_override rename to away')
    const failed = started.log.next('prices.read_failed')
    await change(vault)
    await failed
    expect(inputOf(started)).toBe(20n)
    const changed = started.log.next('prices.changed')
    await database.pool.query(`insert into away select id, $1, $2, $3, 1, now(), now() from organization`, [
      name.provider,
      name.model,
      JSON.stringify(entry(30)),
    ])
    await database.pool.query('alter table away rename to price_override')
    await changed
    expect(inputOf(started)).toBe(30n)
    expect(started.log.events.filter(({ event }) => event === 'prices.read_failed')).toHaveLength(1)
  })

  test('stay the same table through changes of other things', async () => {
    const { vault, database } = await testVault()
    await set(vault, 30)
    const started = await startBook(vault, database)
    const before = started.book.current
    await change(vault)
    await started.book.refresh()
    expect(started.book.current).toBe(before)
  })

  test('are followed no longer once it is closed', async () => {
    const { vault, database } = await testVault()
    const started = await startBook(vault, database)
    await started.book.close()
    await set(vault, 30)
    await vault.changes.poll()
    expect(inputOf(started)).toBe(20n)
  })
})
