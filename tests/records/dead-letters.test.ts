import { type BudgetId, nanoUsd, type ProxyKeyId, type RequestId } from '@latchkey/shared'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { BudgetEngine } from '../../gateway/src/budget/engine.ts'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'
import { addBudget, addOrganization, auditWindows, windowOf } from '../budget/books.ts'
import { expectHold, startEngine } from '../budget/engines.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { record } from './record.ts'
import { idsWritten, recordAll, recorderOn, soon } from './records.ts'

const cost = nanoUsd(30n)

let database: TestDatabase
let engine: BudgetEngine
let budget: BudgetId

beforeEach(async () => {
  database = await startTestDatabase()
  onTestFinished(() => database.close())
  budget = await addBudget(database.pool, await addOrganization(database.pool), 1_000_000n)
  engine = (await startEngine(database.connection)).engine
})

/** A record that has 30 nano-dollars to settle. */
async function paid(change: Partial<RequestRecord>): Promise<RequestRecord> {
  const hold = expectHold(await engine.hold([budget], nanoUsd(100n)))
  return record({ cost, settlements: engine.settle(hold, cost), ...change })
}

async function letters() {
  const { rows } = await database.pool.query<{ id: RequestId; record: string; reason: string }>(
    'SELECT id, record, reason FROM dead_letter ORDER BY id',
  )
  return rows
}

async function rowOf(id: RequestId) {
  return database.kysely.selectFrom('request').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
}

const notTaken: readonly [string, Partial<RequestRecord>, string][] = [
  ['a NUL in a text', { model: 'no \0 text' }, '22021'],
  ['half a surrogate pair in a property', { properties: { team: 'half \ud800' } }, '22P02'],
  ['a NUL in a property', { properties: { team: 'a\0b' } }, '22P05'],
  ['a number that its column does not hold', { status: 2 ** 40 }, '22003'],
  ['a fraction where there must be none', { requestBytes: 0.5 }, '22P02'],
  ['a number that is none', { durationMs: Number.NaN }, '23502'],
  ['a moment that is none', { startedAt: Number.NaN }, '23502'],
  ['a moment beyond the calendar', { startedAt: 8.64e15 }, '22009'],
  [
    'a text that no index takes',
    {
      keyId: Array.from({ length: 9_000 }, (_, at) => String.fromCharCode(0x3000 + at)).join(
        '',
      ) as ProxyKeyId,
    },
    '54000',
  ],
]

describe('a record that Postgres can’t take', () => {
  test.each(notTaken)('settles, is kept whole, and holds up no other: %s', async (_name, change, reason) => {
    const { recorder, writer } = recorderOn(database.pool, { places: 100 })
    const bad = await paid(change)
    const others = await Promise.all(Array.from({ length: 20 }, () => paid({})))
    recordAll(recorder, [...others.slice(0, 7), bad, ...others.slice(7)])
    await recorder.close(soon())

    expect(await idsWritten(database.pool)).toEqual([...others, bad].map(({ id }) => id).toSorted())
    expect(await letters()).toEqual([{ id: bad.id, record: expect.stringContaining(bad.id), reason }])
    expect([writer.deadLetters, writer.lost, recorder.taken]).toEqual([1, 0, 0])
    expect(await rowOf(bad.id)).toMatchObject({ cost_nano: 30n, organization_id: bad.organizationId })
    expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 21n * 30n, overage_nano: 0n })
    await auditWindows(database.pool)
  })

  test('settles once, however often it comes', async () => {
    const bad = await paid({ model: '\0' })
    for (let time = 0; time < 2; time++) {
      const { recorder } = recorderOn(database.pool, { places: 10 })
      recordAll(recorder, [bad, bad])
      await recorder.close(soon())
    }
    expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 30n, overage_nano: 0n })
    expect(await letters()).toHaveLength(1)
  })

  test('keeps what can be kept of it', async () => {
    const { recorder } = recorderOn(database.pool, { places: 10 })
    const bad = record({
      model: 'a\0b',
      status: 2 ** 40,
      properties: { 'te\0am': 'x\ud800y' },
      endpoint: '/v1/embeddings',
      userId: 'u'.repeat(2_000),
    })
    recordAll(recorder, [bad])
    await recorder.close(soon())
    expect(await rowOf(bad.id)).toMatchObject({
      model: 'a\ufffdb',
      status: 0,
      properties: { 'te\ufffdam': 'x\ufffdy' },
      endpoint: '/v1/embeddings',
      user_id: 'u'.repeat(500),
      started_at: new Date(bad.startedAt),
    })
  })

  test('is written without its money where that is what can’t be written', async () => {
    const { recorder } = recorderOn(database.pool, { places: 10 })
    const bad = await paid({})
    const [settlement] = bad.settlements
    if (settlement === undefined) throw new Error('it settles nothing')
    const amount = nanoUsd(2n ** 63n - 1n)
    recordAll(recorder, [{ ...bad, settlements: [settlement, { ...settlement, within: amount }] }])
    await recorder.close(soon())
    expect(await idsWritten(database.pool)).toEqual([bad.id])
    expect(await letters()).toMatchObject([{ id: bad.id, reason: '22003' }])
    // What it may have cost stays with its lease.
    const { settled_nano, leased_nano } = await windowOf(database.pool, budget)
    expect([settled_nano, leased_nano > 0n]).toEqual([0n, true])
  })
})
