import { expect, onTestFinished, test } from 'vitest'
import type { QueueRecorder } from '../../gateway/src/records/queue-recorder.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { record } from './record.ts'
import { idsWritten, recordAll, recorderOn, soon } from './records.ts'

async function start(places: number) {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const log = recordLog()
  return { ...recorderOn(database.pool, { places, log }), database, log }
}

const written = async ({ pool }: TestDatabase) => (await idsWritten(pool)).length

test('closing writes every record, those too that came while a batch was being written', async () => {
  const { recorder, database } = await start(2_000)
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
  const { recorder, database } = await start(10)
  const twice = record()
  recordAll(recorder, [twice, twice])
  await recorder.close(soon())
  expect(await written(database)).toBe(1)
})

test('records that the schema has no table for are reported as an error, and kept until it has', async () => {
  const { recorder, database, log } = await start(10)
  await database.pool.query('alter table request rename to elsewhere')
  const refused = log.next('records.write_refused')
  recordAll(recorder, [record(), record()])
  await refused
  expect(log.events.at(-1)?.fields).toMatchObject({ rows: 2, errorCode: '42P01' })
  expect(recorder.taken).toBe(2)
  await database.pool.query('alter table elsewhere rename to request')
  await recorder.close(soon())
  expect(await written(database)).toBe(2)
  expect(recorder.taken).toBe(0)
})

test('places run out, and records of refusals are dropped and counted while half of them are taken', async () => {
  const { recorder, database } = await start(4)
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
  const { recorder, database } = await start(4)
  for (let count = 0; count < 1_000; count++)
    recorder.countRefusal(count % 2 ? 'invalid_api_key' : 'not_found')
  await recorder.close(soon())
  const { sums, rows } = await refusalsWritten(database)
  expect(sums).toEqual({ invalid_api_key: 500, not_found: 500 })
  expect(rows).toBeLessThanOrEqual(4)
})

test('refusals counted while others are being written are written next, though nothing else comes', async () => {
  const { recorder, database } = await start(4)
  await whileWritingRefusals(recorder, database, () => recorder.countRefusal('not_found'))
  await expect
    .poll(async () => (await refusalsWritten(database)).sums)
    .toEqual({ invalid_api_key: 1, not_found: 1 })
  await recorder.close(soon())
})

test('closing writes the refusals too that were counted while others were being written', async () => {
  const { recorder, database } = await start(4)
  let closing: Promise<void> | undefined
  await whileWritingRefusals(recorder, database, () => {
    recorder.countRefusal('not_found')
    closing = recorder.close(soon())
  })
  await closing
  expect((await refusalsWritten(database)).sums).toEqual({ invalid_api_key: 1, not_found: 1 })
})

/** Counts an invalid key, and does `what` while Postgres has yet to write it. */
async function whileWritingRefusals(recorder: QueueRecorder, { pool }: TestDatabase, what: () => void) {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('LOCK TABLE refusal IN EXCLUSIVE MODE')
    recorder.countRefusal('invalid_api_key')
    const waiting = `SELECT count(*)::int AS count FROM pg_locks
                     WHERE relation = 'refusal'::regclass AND NOT granted`
    await expect.poll(async () => (await client.query(waiting)).rows).toEqual([{ count: 1 }])
    what()
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}

/** The counts of each code over all minutes, and in how many rows they stand. */
async function refusalsWritten({ kysely }: TestDatabase) {
  const rows = await kysely.selectFrom('refusal').select(['code', 'count']).execute()
  const sums: Record<string, number> = {}
  for (const { code, count } of rows) sums[code] = (sums[code] ?? 0) + Number(count)
  return { sums, rows: rows.length }
}
