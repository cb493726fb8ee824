import { randomBytes } from 'node:crypto'
import { clientConfig, systemClock } from '@latchkey/shared'
import {
  connectDatabase,
  type Migration,
  migrate,
  migrations as releasedMigrations,
} from '@latchkey/shared/database'
import pg from 'pg'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { startBlankDatabase, type TestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'

const first: Migration = {
  name: '0001-first',
  sql: 'CREATE TABLE first (id int); INSERT INTO first VALUES (1)',
}
const second: Migration = { name: '0002-second', sql: 'CREATE TABLE second (id int)' }
const broken: Migration = { name: '0002-broken', sql: 'CREATE TABLE half (id int); SELECT 1 / 0' }
const third: Migration = { name: '0003-third', sql: 'CREATE TABLE third (id int)' }

let database: TestDatabase
beforeEach(async () => {
  database = await startBlankDatabase()
  return () => database.close()
})

const frozen = { now: () => Date.UTC(2026, 10, 29), monotonic: () => 0 }
const run = (list: readonly Migration[]) => migrate(database.pool, list, { clock: frozen, log: recordLog() })

async function tables(): Promise<readonly string[]> {
  const { rows } = await database.pool.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
  )
  return rows.map((row) => row.name)
}

describe('migrate', () => {
  it('runs what is new, in order, and notes it with the time that it was given', async () => {
    await run([first])
    await run([first, second, third])
    expect(await tables()).toStrictEqual(['first', 'migration', 'second', 'third'])
    const { rows } = await database.pool.query('SELECT name, applied_at FROM migration ORDER BY name')
    expect(rows).toStrictEqual(
      [first, second, third].map(({ name }) => ({ name, applied_at: new Date(frozen.now()) })),
    )
  })

  it('runs each migration once, however many start at the same moment', async () => {
    const slow: Migration = { ...first, sql: `${first.sql}; SELECT pg_sleep(0.1)` }
    const handles = Array.from({ length: 6 }, () =>
      connectDatabase({
        connection: database.connection,
        maxConnections: 1,
        statementTimeoutMs: 30_000,
        applicationName: 'migrate-test',
        log: recordLog(),
      }),
    )
    onTestFinished(async () => {
      await Promise.all(handles.map((handle) => handle.close()))
    })
    const logs = handles.map(() => recordLog())
    await Promise.all(
      handles.map((handle, index) =>
        migrate(handle.pool, [slow, second], { clock: systemClock, log: logs[index] ?? recordLog() }),
      ),
    )
    expect(logs.flatMap((log) => log.events.map((entry) => entry.fields.migration)).sort()).toStrictEqual([
      first.name,
      second.name,
    ])
    expect((await database.pool.query('SELECT * FROM first')).rowCount).toBe(1)
  })

  it('keeps nothing of a migration that fails, names it, and runs none after it', async () => {
    await expect(run([first, broken, third])).rejects.toMatchObject({
      code: 'migration_failed',
      details: { migration: broken.name },
      message: expect.stringContaining(broken.name),
      cause: { code: '22012' },
    })
    expect(await tables()).toStrictEqual(['first', 'migration'])
    await run([first, second, third])
    expect(await tables()).toStrictEqual(['first', 'migration', 'second', 'third'])
  })

  it('refuses a database that a newer version has migrated, and changes nothing', async () => {
    await run([first, second, third])
    await expect(run([first, second])).rejects.toMatchObject({
      code: 'database_newer',
      details: { migration: third.name },
    })
  })

  it('refuses a database that has a later migration without an earlier one', async () => {
    await run([first, third])
    await expect(run([first, second, third])).rejects.toMatchObject({
      code: 'migration_failed',
      details: { migration: second.name },
    })
    expect(await tables()).toStrictEqual(['first', 'migration', 'third'])
  })

  it('is not cut off by the statement timeout of the pool, and leaves the timeout in force', async () => {
    const impatient = connectDatabase({
      connection: database.connection,
      maxConnections: 1,
      statementTimeoutMs: 50,
      applicationName: 'migrate-test',
      log: recordLog(),
    })
    onTestFinished(() => impatient.close())
    const slow: Migration = { ...first, sql: 'SELECT pg_sleep(0.2)' }
    await migrate(impatient.pool, [slow], { clock: systemClock, log: recordLog() })
    await expect(impatient.pool.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ code: '57014' })
  })

  it('is not given up by a pool that gives up statements without an answer', async () => {
    const pool = new pg.Pool({ ...clientConfig(database.connection), max: 1, query_timeout: 100 })
    onTestFinished(() => pool.end())
    const slow: Migration = { ...first, sql: 'SELECT pg_sleep(0.3)' }
    await migrate(pool, [slow], { clock: systemClock, log: recordLog() })
    await expect(pool.query('SELECT pg_sleep(0.3)')).rejects.toThrow('Query read timeout')
  })

  it('says so where the database user may not make tables', async () => {
    const user = `poor_${randomBytes(6).toString('hex')}`
    await database.pool.query(`CREATE ROLE ${user} LOGIN`)
    const poor = connectDatabase({
      connection: { ...database.connection, user },
      maxConnections: 1,
      statementTimeoutMs: 0,
      applicationName: 'migrate-test',
      log: recordLog(),
    })
    onTestFinished(() => poor.close())
    await expect(migrate(poor.pool, [first], { clock: systemClock, log: recordLog() })).rejects.toMatchObject(
      { code: 'migration_failed', message: expect.stringContaining('owner') },
    )
  })

  it('has released migrations whose names sort in the order in which they run', () => {
    const names = releasedMigrations.map((migration) => migration.name)
    expect(names).toStrictEqual([...new Set(names)].sort())
  })
})
