import { randomBytes } from 'node:crypto'
import { createLog, type SocketConnection } from '@latchkey/shared'
import { connectDatabase, type DatabaseHandle } from '@latchkey/shared/database'
import pg from 'pg'
import { inject } from 'vitest'

export interface TestDatabase extends DatabaseHandle {
  readonly connection: SocketConnection
}

/**
 * A database of its own, migrated and empty, on the server of this run. It takes some 30 ms.
 * `close` it when done; the database itself goes with the server.
 */
export function startTestDatabase(): Promise<TestDatabase> {
  return createDatabase(inject('postgresServer').database)
}

/** As `startTestDatabase`, but without any table: for tests of the migrations themselves. */
export function startBlankDatabase(): Promise<TestDatabase> {
  return createDatabase('template0')
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const server = inject('postgresServer')
  const name = `test_${randomBytes(8).toString('hex')}`
  const client = new pg.Client({ ...server, database: 'postgres', ssl: false })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`)
  } finally {
    await client.end()
  }
  const connection = { ...server, database: name }
  const handle = connectDatabase({
    connection,
    maxConnections: 10,
    statementTimeoutMs: 30_000,
    applicationName: 'latchkey-tests',
    log: createLog('silent'),
  })
  return { ...handle, connection }
}
