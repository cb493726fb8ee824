import {
  createLog,
  type OrganizationId,
  type ProxyKeyId,
  type RequestId,
  systemClock,
  systemRandom,
  uuidv7,
} from '@latchkey/shared'
import { expect, onTestFinished, test } from 'vitest'
import { QueueRecorder } from '../../gateway/src/records/queue-recorder.ts'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'

function record(change: Partial<RequestRecord> = {}): RequestRecord {
  return {
    id: uuidv7<RequestId>(systemClock, systemRandom),
    organizationId: uuidv7<OrganizationId>(systemClock, systemRandom),
    keyId: 'AAAAAAAAAAAA' as ProxyKeyId,
    keyName: 'alice',
    providerKeyId: null,
    provider: null,
    method: 'POST',
    endpoint: '/v1/chat/completions',
    model: 'm',
    responseModel: null,
    status: 200,
    code: null,
    attempts: 1,
    usage: null,
    usageMissing: false,
    streamed: false,
    disconnected: false,
    truncated: false,
    requestBytes: 1,
    responseBytes: 2,
    timeToFirstByteMs: 3.5,
    durationMs: 4.5,
    clientIp: '127.0.0.1',
    userId: null,
    sessionId: null,
    properties: {},
    startedAt: systemClock.now(),
    ...change,
  }
}

async function recorderOn(places: number): Promise<{ recorder: QueueRecorder; database: TestDatabase }> {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const log = createLog('silent')
  return { recorder: new QueueRecorder({ pool: database.pool, places, clock: systemClock, log }), database }
}

const soon = () => systemClock.monotonic() + 5_000

async function written({ kysely }: TestDatabase): Promise<number> {
  const { count } = await kysely
    .selectFrom('request')
    .select((select) => select.fn.countAll<bigint>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

test('closing writes every record, those too that came while a batch was being written', async () => {
  const { recorder, database } = await recorderOn(2_000)
  for (let count = 0; count < 1_001; count++) {
    expect(recorder.reserve()).toBe(true)
    recorder.record(record())
    // A turn of the event loop: the first batch of 500 is on its way from here on.
    if (count === 500) await new Promise((resolve) => setImmediate(resolve))
  }
  await recorder.close(soon())
  expect(await written(database)).toBe(1_001)
  expect(recorder.taken).toBe(0)
})

test('a record that comes twice is written once', async () => {
  const { recorder, database } = await recorderOn(10)
  const twice = record()
  for (const each of [twice, twice]) {
    recorder.reserve()
    recorder.record(each)
  }
  await recorder.close(soon())
  expect(await written(database)).toBe(1)
})

test('a record that Postgres can’t take does not keep the others from being written', async () => {
  const { recorder, database } = await recorderOn(100)
  for (let count = 0; count < 20; count++) {
    recorder.reserve()
    recorder.record(record(count === 7 ? { model: 'no \0 text' } : {}))
  }
  await recorder.close(soon())
  expect(await written(database)).toBe(19)
  expect(recorder.taken).toBe(0)
})

test('places run out, and records of refusals are dropped and counted while half of them are taken', async () => {
  const { recorder, database } = await recorderOn(4)
  expect([recorder.reserve(), recorder.reserve()]).toEqual([true, true])
  recorder.recordRefusal(record({ status: 403 }))
  expect([recorder.dropped, recorder.taken]).toEqual([1, 2])
  expect([recorder.reserve(), recorder.reserve(), recorder.reserve()]).toEqual([true, true, false])
  for (let count = 0; count < 4; count++) recorder.record(record())
  await recorder.close(soon())
  expect(await written(database)).toBe(4)
  expect(recorder.taken).toBe(0)
})

test('refusals of unknown keys are one row per code and minute, however many', async () => {
  const { recorder, database } = await recorderOn(4)
  for (let count = 0; count < 1_000; count++)
    recorder.countRefusal(count % 2 ? 'invalid_api_key' : 'not_found')
  await recorder.close(soon())
  const rows = await database.kysely.selectFrom('refusal').select(['code', 'count']).orderBy('code').execute()
  const sums = Object.fromEntries(['invalid_api_key', 'not_found'].map((code) => [code, 0]))
  for (const { code, count } of rows) sums[code] = (sums[code] ?? 0) + Number(count)
  expect(sums).toEqual({ invalid_api_key: 500, not_found: 500 })
  expect(rows.length).toBeLessThanOrEqual(4)
})
