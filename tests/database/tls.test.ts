import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TlsSetting } from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'
import { describeRefusal } from '../../gateway/src/runtime/database-refusal.ts'
import { readServerConnection } from '../../gateway/src/runtime/server.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { recordLog } from '../support/recorded-log.ts'

// A certificate for localhost and 127.0.0.1, valid for a hundred years, and the authority that signed it. Its key
// protects nothing but these tests.
const file = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url))
const read = (name: string) => readFileSync(file(name), 'utf8')
const authority = read('authority.pem')

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres({ tls: { certificate: read('server.pem'), key: read('server.key') } })
})
afterAll(() => postgres.discard())

/** Whether the server says that this connection is encrypted. */
async function encrypted(tls: TlsSetting, host = '127.0.0.1'): Promise<boolean | undefined> {
  const handle = connectDatabase({
    connection: { ...postgres.connection('postgres'), host, tls, channelBinding: true },
    maxConnections: 1,
    statementTimeoutMs: 1000,
    applicationName: 'tls-test',
    log: recordLog(),
  })
  onTestFinished(() => handle.close())
  const { rows } = await handle.pool.query<{ ssl: boolean }>(
    'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
  )
  return rows[0]?.ssl
}

test.each<[string, TlsSetting, boolean]>([
  ['is checked against the authority that is named', { kind: 'verified', authority }, true],
  ['is not checked where that was asked', { kind: 'unverified' }, true],
  ['is not used where it was not asked for', { kind: 'off' }, false],
])('TLS %s', async (_title, tls, expected) => {
  expect(await encrypted(tls)).toBe(expected)
})

test('a certificate of an unknown authority is refused, with what to do', async () => {
  const error = await encrypted({ kind: 'verified', authority: null }).catch((thrown: unknown) => thrown)
  expect(describeRefusal(error, postgres.connection('postgres'))).toEqual({
    message: expect.stringMatching(/certificate.*LATCHKEY_DATABASE_CA/),
    final: true,
  })
})

test('TLS that the server does not know is asked for in vain', async () => {
  const plain = await startPostgres()
  onTestFinished(() => plain.discard())
  const connection = { ...plain.connection('postgres'), tls: { kind: 'unverified' } as const }
  const { pool, close } = connectDatabase({
    connection,
    maxConnections: 1,
    statementTimeoutMs: 1000,
    applicationName: 'tls-test',
    log: recordLog(),
  })
  onTestFinished(close)
  const error = await pool.query('SELECT 1').catch((thrown: unknown) => thrown)
  expect(describeRefusal(error, connection)).toEqual({
    message: expect.stringContaining('knows no TLS'),
    final: true,
  })
})

test('LATCHKEY_DATABASE_CA names the authority, and asks for sslmode', () => {
  const DATABASE_URL = 'postgres://u:p@h/d?sslmode=verify-full'
  const { database } = readConfig({ DATABASE_URL, LATCHKEY_DATABASE_CA: file('authority.pem') })
  if (database.kind !== 'server') throw new Error(database.kind)
  expect(readServerConnection(database).tls).toEqual({ kind: 'verified', authority })
  const wrong = { code: 'invalid_config', param: 'LATCHKEY_DATABASE_CA' }
  expect(() => readServerConnection({ ...database, authorityFile: '/absent.pem' })).toThrow(
    expect.objectContaining(wrong),
  )
  expect(() =>
    readConfig({ DATABASE_URL: 'postgres://u:p@h/d', LATCHKEY_DATABASE_CA: file('authority.pem') }),
  ).toThrow(expect.objectContaining(wrong))
})
