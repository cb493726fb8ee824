import { type DatabaseConnection, isConnectionFault, parseDatabaseUrl, Secret } from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { type RecordedLog, recordLog } from '../support/recorded-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await startTestDatabase()
})
afterAll(() => database.close())

function connect(connection: DatabaseConnection, log: RecordedLog = recordLog()) {
  const handle = connectDatabase({
    connection,
    maxConnections: 1,
    statementTimeoutMs: 100,
    applicationName: 'connect-test',
    log,
  })
  onTestFinished(() => handle.close())
  return handle
}

describe('a database handle', () => {
  it('runs its sessions in UTC, under its application name', async () => {
    const { pool } = connect(database.connection)
    const zone = await pool.query<{ TimeZone: string }>('SHOW TimeZone')
    const name = await pool.query<{ application_name: string }>('SHOW application_name')
    expect([zone.rows[0]?.TimeZone, name.rows[0]?.application_name]).toStrictEqual(['UTC', 'connect-test'])
  })

  it('connects by URL as well as by socket', async () => {
    const { host, port, user, database: name } = database.connection
    const url = `postgres://${user}@localhost:${port}/${name}?host=${encodeURIComponent(host)}`
    const { kysely } = connect(parseDatabaseUrl(new Secret(url)))
    expect(await kysely.selectFrom('change_counter').select('value').execute()).toStrictEqual([{ value: 0n }])
  })

  it('asks the socket for no TLS, whatever PGSSLMODE says', async () => {
    vi.stubEnv('PGSSLMODE', 'require')
    onTestFinished(() => {
      vi.unstubAllEnvs()
    })
    const { pool } = connect(database.connection)
    expect((await pool.query('SELECT 1')).rowCount).toBe(1)
  })

  it('cancels a statement at its timeout, and its connection stays usable', async () => {
    const { pool } = connect(database.connection)
    await expect(pool.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ code: '57014' })
    expect((await pool.query('SELECT 1')).rowCount).toBe(1)
  })

  it('survives the death of an idle connection: logs it and connects anew', async () => {
    const log = recordLog()
    const { pool } = connect(database.connection, log)
    const { rows } = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const lost = log.next('database.connection_lost')
    await database.pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
    await lost
    expect((await pool.query('SELECT 1')).rowCount).toBe(1)
  })

  it('fails a statement that is not answered, and asks on another connection from then on', async () => {
    const { kysely } = connect(database.connection)
    const backend = async () => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(kysely)
      return rows[0]?.pid ?? 0
    }
    const silent = await backend()
    // A server whose machine is gone keeps its side of the connection open, too.
    process.kill(silent, 'SIGSTOP')
    onTestFinished(() => {
      process.kill(silent, 'SIGCONT')
    })
    const unanswered = await backend().catch((error: unknown) => error)
    expect(isConnectionFault(unanswered)).toBe(true)
    expect(await backend()).not.toBe(silent)
  })

  it('fails a query where there is no server', async () => {
    const { pool } = connect({ ...database.connection, host: temporaryDirectory() })
    await expect(pool.query('SELECT 1')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.each(['used', 'unused'])('may be closed twice, %s', async (use) => {
    const handle = connect(database.connection)
    if (use === 'used') await handle.kysely.selectFrom('deployment').selectAll().execute()
    await handle.close()
    await handle.close()
    expect(handle.pool.ended).toBe(true)
  })
})
