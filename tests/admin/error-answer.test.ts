import { LatchkeyError } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { errorAnswer } from '../../gateway/src/admin/error-answer.ts'
import { recordLog } from '../support/recorded-log.ts'
import { startAdminServer } from './admin-server.ts'

test.each([
  ['disk_full', 503, 'database_unavailable'],
  ['keyring_damaged', 500, 'internal_error'],
  ['root_key_wrong', 409, 'conflict'],
  ['root_key_missing', 409, 'conflict'],
] as const)('%s, a fault of the start, is %i %s and named in the details', async (fault, status, code) => {
  const log = recordLog()
  const answer = errorAnswer(new LatchkeyError(fault), log)
  expect(answer.status).toBe(status)
  expect(await answer.json()).toMatchObject({ error: { code, details: { fault } } })
  // A person at the other end can do something about a conflict; the others are for the log as well.
  expect(log.events.length).toBe(code === 'conflict' ? 0 : 1)
})

test('a keyring of which a row is gone is refused by unseal as damaged', async () => {
  const { ask, database } = await startAdminServer()
  await ask('POST', '/api/vault/seal', { body: {} })
  await database.pool.query("DELETE FROM ring_key_wrap WHERE purpose = 'audit'")
  expect(await ask('POST', '/api/vault/unseal', { body: {} })).toMatchObject({
    status: 500,
    body: { error: { code: 'internal_error', details: { fault: 'keyring_damaged' } } },
  })
})

test('a database whose password was changed, or whose host is not found, is unavailable and no bug', () => {
  for (const code of ['28P01', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH']) {
    const error = Object.assign(new Error('no'), { code })
    expect.soft(errorAnswer(error, recordLog()).status, code).toBe(503)
  }
})
