import { randomBytes, randomUUID } from 'node:crypto'
import { createLog, type ProviderKeyId, type ProxyKeyId, systemClock } from '@latchkey/shared'
import { expect, onTestFinished, test } from 'vitest'
import { insertRows } from '../../gateway/src/records/batch-insert.ts'
import { BatchWriter } from '../../gateway/src/records/batch-writer.ts'
import { LastUses } from '../../gateway/src/records/last-uses.ts'
import { type RecordRow, rowOf } from '../../gateway/src/records/record-row.ts'
import { addOrganization, addProxyKeyRow } from '../budget/books.ts'
import { startTestDatabase } from '../support/database.ts'
import { record } from './record.ts'

const noon = Date.UTC(2026, 2, 1, 12)
const second = 1000
const minute = 60 * second
const providerKey = randomUUID() as ProviderKeyId

const usedAt = (after: number, key = 'alice', provider: ProviderKeyId | null = providerKey): RecordRow =>
  rowOf(record({ keyId: key as ProxyKeyId, providerKeyId: provider, startedAt: noon + after }))

const texts = (uses: ReadonlyMap<string, string>) =>
  Object.fromEntries([...uses].map(([key, at]) => [key, Date.parse(at) - noon]))

test('the last use of each key in a batch is due, until it has been told', () => {
  const uses = new LastUses()
  const rows = [usedAt(3), usedAt(9), usedAt(5), usedAt(4, 'bob', null)]
  const due = uses.due(rows)
  expect(texts(due.proxyKeys)).toEqual({ alice: 9, bob: 4 })
  expect(texts(due.providerKeys)).toEqual({ [providerKey]: 9 })
  // The statement failed, so it is due again.
  expect(uses.due(rows)).toEqual(due)
  uses.told(due)
  expect(uses.due([...rows, usedAt(59 * second, 'bob')])).toEqual({
    proxyKeys: new Map(),
    providerKeys: new Map(),
  })
})

test('a key is due again in the next minute, and not for a request that began in an earlier one', () => {
  const uses = new LastUses()
  uses.told(uses.due([usedAt(59 * second)]))
  const next = uses.due([usedAt(minute), usedAt(minute, 'bob', null)])
  expect(texts(next.proxyKeys)).toEqual({ alice: minute, bob: minute })
  uses.told(next)
  // Long streams, one of a key that Postgres may know nothing of.
  const late = uses.due([usedAt(2 * minute - 1), usedAt(-minute), usedAt(-minute, 'carol', null)])
  expect(texts(late.proxyKeys)).toEqual({ carol: -minute })
})

test('a moment that is far ahead stands in the way of no other key', () => {
  const uses = new LastUses()
  uses.told(uses.due([{ ...usedAt(0, 'alice', null), started_at: '9999-01-01T00:00:00.000Z' }]))
  const bob = uses.due([usedAt(0, 'bob', null)])
  expect(texts(bob.proxyKeys)).toEqual({ bob: 0 })
  uses.told(bob)
  expect(texts(uses.due([usedAt(1, 'bob', null), usedAt(1, 'alice', null)]).proxyKeys)).toEqual({})
})

test('of rows that lack what is asked for nothing is due', () => {
  const row = usedAt(0)
  const lacking = [
    { ...row, started_at: null },
    { ...row, proxy_key_id: 7, provider_key_id: null },
  ]
  expect(new LastUses().due(lacking)).toEqual({ proxyKeys: new Map(), providerKeys: new Map() })
})

test('what stands in the database is the last use, to the minute, whoever told it in whatever order', async () => {
  const { pool, stands } = await keysInUse()
  const one = new LastUses()
  await insertRows(pool, [usedAt(50 * second), usedAt(1, 'bob', null)], one)
  expect(await stands()).toEqual({ alice: 50 * second, bob: 1, carol: null, main: 50 * second })
  await insertRows(pool, [usedAt(70 * second, 'bob')], new LastUses())
  expect(await stands()).toEqual({ alice: 50 * second, bob: 70 * second, carol: null, main: 70 * second })
  // Older than what stands there, from one who does not know of it.
  await insertRows(pool, [usedAt(2, 'bob')], new LastUses())
  expect(await stands()).toEqual({ alice: 50 * second, bob: 70 * second, carol: null, main: 70 * second })
  // A statement that fails has told nothing.
  await expect(insertRows(pool, [usedAt(minute), { ...usedAt(0), status: 'x' }], one)).rejects.toThrow(
    'integer',
  )
  await insertRows(pool, [usedAt(minute + 1)], one)
  expect(await stands()).toMatchObject({ alice: minute + 1 })
})

test('of rows of which one can’t be written the others tell when their keys were used', async () => {
  const { pool, stands } = await keysInUse()
  const writer = new BatchWriter({ pool, clock: systemClock, log: createLog('silent') })
  await writer.write([usedAt(5), { ...usedAt(7, 'bob'), status: 'x' }, usedAt(9, 'carol')])
  expect(await stands()).toEqual({ alice: 5, bob: 7, carol: 9, main: 5 })
})

/** A database with the keys `alice`, `bob` and `carol`, and how it says when they were last used. */
async function keysInUse() {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const { pool } = database
  const organization = await addOrganization(pool)
  await pool.query(
    `INSERT INTO provider_key (id, organization_id, name, provider, base_url, envelope, secret_version, revision, created_at)
     VALUES ($1, $2, 'main', 'openai', 'https://api.openai.com/v1', $3, 1, 1, now())`,
    [providerKey, organization, randomBytes(8)],
  )
  for (const key of ['alice', 'bob', 'carol']) await addProxyKeyRow(pool, organization, key)
  const stands = async () => {
    const { rows } = await pool.query<{ id: string; at: Date | null }>(
      'SELECT id, last_used_at AS at FROM proxy_key UNION ALL SELECT name, last_used_at FROM provider_key ORDER BY id',
    )
    return Object.fromEntries(rows.map(({ id, at }) => [id, at === null ? null : at.getTime() - noon]))
  }
  return { pool, stands }
}
