import { expect, test } from 'vitest'
import { startAdminServer } from './admin-server.ts'

test('the status tells of the process, the vault and the database', async () => {
  const { ask } = await startAdminServer()
  expect(await ask('GET', '/api/status')).toMatchObject({
    status: 200,
    body: {
      version: '1.2.3',
      pid: process.pid,
      startedAt: '2026-01-02T03:04:05.000Z',
      dataUrl: 'http://127.0.0.1:8787',
      draining: false,
      mode: 'embedded',
      records: { taken: 3, places: 10, queued: 1, spooled: 4, dropped: 2, deadLetters: 1, lost: 0 },
      vault: { sealed: false },
      database: {
        kind: 'reachable',
        version: expect.stringMatching(/^18\.\d+$/),
        pingMs: expect.any(Number),
      },
    },
  })
})

test('the status answers while the database is away, and what needs it says so', async () => {
  const { ask, database } = await startAdminServer()
  const name = database.connection.database
  await database.pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = '${name}' AND pid <> pg_backend_pid()`)
  await database.pool.query(`ALTER DATABASE ${name} CONNECTION LIMIT 0`)
  await database.close()
  expect(await ask('GET', '/api/status')).toMatchObject({
    status: 200,
    body: { database: { kind: 'unreachable' } },
  })
})
