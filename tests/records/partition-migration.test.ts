import { createLog, systemClock } from '@latchkey/shared'
import { migrate, migrations } from '@latchkey/shared/database'
import { expect, onTestFinished, test } from 'vitest'
import { insertRecords } from '../../gateway/src/records/batch-insert.ts'
import { keepPartitions } from '../../gateway/src/records/partitions.ts'
import { startBlankDatabase, type TestDatabase } from '../support/database.ts'
import { newRequestId, record } from './record.ts'
import { idsWritten } from './records.ts'

const dayMs = 86_400_000
const log = createLog('silent')
const at = migrations.findIndex(({ name }) => name === '0006-request-partitions')

async function databaseBefore(): Promise<TestDatabase> {
  const database = await startBlankDatabase()
  onTestFinished(() => database.close())
  await migrate(database.pool, migrations.slice(0, at), { clock: systemClock, log })
  return database
}

test('the records of a database from before there were partitions are all there, unchanged', async () => {
  const { pool } = await databaseBefore()
  const moments = [-400 * dayMs, -dayMs, 0, 0, 2 * dayMs]
  const records = moments.map((offset) =>
    record({ id: newRequestId(systemClock.now() + offset), properties: { team: 'search' } }),
  )
  await insertRecords(pool, records)
  // One whose id is no UUID of version 7.
  await pool.query(
    `INSERT INTO request SELECT (jsonb_populate_record(r, '{"id":"ffffffff-ffff-4fff-8fff-ffffffffffff"}')).* FROM request AS r LIMIT 1`,
  )
  const before = await pool.query('SELECT * FROM request ORDER BY id')
  await migrate(pool, migrations, { clock: systemClock, log })
  expect((await pool.query('SELECT * FROM request ORDER BY id')).rows).toEqual(before.rows)

  await insertRecords(pool, [...records, record()])
  expect(await idsWritten(pool)).toHaveLength(before.rows.length + 1)

  const client = await pool.connect()
  onTestFinished(() => client.release(true))
  await keepPartitions(client, { retentionDays: 90, log })
  const { rows } = await client.query(
    'SELECT id, tableoid::regclass::text AS partition FROM request ORDER BY id',
  )
  const old = rows.filter(({ partition }) => partition === 'request_before')
  // What is out of the retention has gone, though its partition is not.
  expect([rows.length, old.length]).toEqual([6, 4])
})

test('a database without records gets no partition for what was before', async () => {
  const { pool } = await databaseBefore()
  await migrate(pool, migrations, { clock: systemClock, log })
  const { rows } = await pool.query(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'request'::regclass",
  )
  expect(rows).toEqual([{ name: 'request_default' }])
})
