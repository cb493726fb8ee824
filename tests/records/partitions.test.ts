import { createLog, leastUuidv7, systemClock } from '@latchkey/shared'
import type pg from 'pg'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { insertBodies } from '../../gateway/src/capture/insert-bodies.ts'
import { insertRecords } from '../../gateway/src/records/batch-insert.ts'
import { keepPartitions } from '../../gateway/src/records/partitions.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { newRequestId, record } from './record.ts'
import { idsWritten, recordAll, recorderOn, soon } from './records.ts'

const dayMs = 86_400_000
const log = createLog('silent')

let database: TestDatabase
let client: pg.PoolClient
let today: number

beforeEach(async () => {
  today = Math.floor(systemClock.now() / dayMs)
  database = await startTestDatabase()
  onTestFinished(() => database.close())
  client = await database.pool.connect()
  onTestFinished(() => client.release(true))
})

const keep = (retentionDays = 90) => keepPartitions(client, { retentionDays, log })

const nameOf = (day: number) =>
  `request_${new Date(day * dayMs).toISOString().slice(0, 10).replaceAll('-', '')}`
/** A record of a request that began on a day. */
const recordOf = (day: number) => record({ id: newRequestId(day * dayMs + 1_000) })

/** How many rows are in each partition. */
async function counts(): Promise<Readonly<Record<string, number>>> {
  const { rows } = await client.query<{ name: string; count: bigint }>(`
    SELECT c.relname AS name, count(r.id) AS count
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid LEFT JOIN request AS r ON r.tableoid = c.oid
    WHERE i.inhparent = 'request'::regclass GROUP BY 1`)
  return Object.fromEntries(rows.map(({ name, count }) => [name, Number(count)]))
}

const ahead = (rowsOfToday: number) => ({
  [nameOf(today)]: rowsOfToday,
  ...Object.fromEntries([1, 2, 3].map((days) => [nameOf(today + days), 0])),
})

describe('partitions', () => {
  test('are made for today and the three days to come, once', async () => {
    await keep()
    await keep()
    expect(await counts()).toEqual({ request_default: 0, ...ahead(0) })
    const { recorder } = recorderOn(database.pool, { places: 10 })
    recordAll(recorder, [record(), recordOf(today + 1), recordOf(today + 40)])
    await recorder.close(soon())
    expect(await counts()).toEqual({ request_default: 1, ...ahead(1), [nameOf(today + 1)]: 1 })
  })

  test('take along what was recorded before they were made, which is still the one record of its request', async () => {
    const strays = [record(), record(), recordOf(today - 5), recordOf(today + 40)]
    await insertRecords(database.pool, strays)
    const before = await client.query('SELECT * FROM request ORDER BY id')
    await keep()
    expect(await counts()).toEqual({ request_default: 1, ...ahead(2), [nameOf(today - 5)]: 1 })
    expect((await client.query('SELECT * FROM request ORDER BY id')).rows).toEqual(before.rows)
    await insertRecords(database.pool, strays)
    expect(await idsWritten(database.pool)).toEqual(strays.map(({ id }) => id).toSorted())
  })

  test('of bodies are made and dropped with those of their records, and the keys of their days with them', async () => {
    const bodyOf = (day: number) => ({
      ...{ requestId: recordOf(day).id, organizationId: recordOf(day).organizationId },
      ...{ direction: 'request' as const, envelope: Buffer.from([day % 256]) },
    })
    const keyOf = (day: number) =>
      client.query('INSERT INTO body_key VALUES ($1, $2, $3, now())', [newRequestId(), day, Buffer.alloc(1)])
    const names = async () => {
      const { rows } = await client.query(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'request_body'::regclass",
      )
      return rows.map(({ name }) => name).toSorted()
    }
    for (const day of [today - 4, today - 3, today]) await keyOf(day)
    const bodies = [bodyOf(today - 4), bodyOf(today - 3), bodyOf(today)]
    await insertBodies(database.pool, bodies)
    await keep()
    const made = [today - 4, today - 3, today, today + 1, today + 2, today + 3]
    expect(await names()).toEqual(
      [
        ...made.map((day) => nameOf(day).replace('request', 'request_body')),
        'request_body_default',
      ].toSorted(),
    )
    await insertBodies(database.pool, [...bodies, bodyOf(today - 9), bodyOf(today + 1)])
    expect((await client.query('SELECT FROM request_body')).rowCount).toBe(5)
    await keep(3)
    expect((await client.query('SELECT FROM request_body')).rowCount).toBe(3)
    expect(await names()).toHaveLength(6)
    const { rows } = await client.query('SELECT day FROM body_key ORDER BY day')
    expect(rows).toEqual([{ day: today - 3 }, { day: today }])
  })

  test('are dropped when their day is out of the retention, dead letters and strays with them', async () => {
    const [old, kept] = [recordOf(today - 4), recordOf(today - 3)]
    await insertRecords(database.pool, [old, kept])
    await keep()
    await insertRecords(database.pool, [recordOf(today - 8)])
    for (const days of [5, 2])
      await client.query('INSERT INTO dead_letter VALUES ($1, $2, $3, $4)', [
        newRequestId(),
        `${days} days ago`,
        '22P05',
        new Date(systemClock.now() - days * dayMs),
      ])
    await keep(3)
    expect(await counts()).toEqual({ request_default: 0, ...ahead(0), [nameOf(today - 3)]: 1 })
    expect(await idsWritten(database.pool)).toEqual([kept.id])
    expect((await client.query('SELECT record FROM dead_letter')).rows).toEqual([{ record: '2 days ago' }])
  })

  test('end where UTC days end', async () => {
    await keep()
    const last = record({ id: newRequestId((today + 1) * dayMs - 1) })
    const first = record({ id: newRequestId((today + 1) * dayMs) })
    expect(first.id.slice(0, 13)).toBe(leastUuidv7((today + 1) * dayMs).slice(0, 13))
    await insertRecords(database.pool, [last, first])
    expect(await counts()).toEqual({ request_default: 0, ...ahead(1), [nameOf(today + 1)]: 1 })
  })

  test('may be made while a record of their day is being written', async () => {
    await client.query('BEGIN; LOCK TABLE request_default IN ACCESS EXCLUSIVE MODE')
    const { recorder, writer } = recorderOn(database.pool, { places: 10 })
    const late = record()
    recordAll(recorder, [late])
    const closed = recorder.close(soon())
    const waiting = () =>
      client.query("SELECT FROM pg_locks WHERE NOT granted AND relation = 'request_default'::regclass")
    await expect.poll(async () => (await waiting()).rowCount).toBe(1)
    // Its first commit ends our transaction, and lets the writer go on to where its row has no place any more.
    await keep()
    await closed
    expect(await counts()).toEqual({ request_default: 0, ...ahead(1) })
    expect([writer.deadLetters, await idsWritten(database.pool)]).toEqual([0, [late.id]])
  })

  test('are not waited for: who reads or writes for long makes the keeper give up, until the next time', async () => {
    const other = await database.pool.connect()
    onTestFinished(() => other.release(true))
    await insertRecords(database.pool, [recordOf(today - 9)])
    await keep()
    await other.query('BEGIN; SELECT count(*) FROM request')
    await expect(keep(5)).rejects.toMatchObject({ code: '55P03' })
    await other.query('COMMIT')
    await keep(5)
    expect(await counts()).toEqual({ request_default: 0, ...ahead(0) })
  })
})
