import { type Log, leastUuidv7 } from '@latchkey/shared'
import type pg from 'pg'

export interface PartitionOptions {
  /** Records are kept for so many days, today not counted. */
  readonly retentionDays: number
  readonly log: Log
}

/** The tables that have a partition for each day, by the moment in a request's id. */
const tables = ['request', 'request_body'] as const
type Table = (typeof tables)[number]

/** A partition and the ids that it takes: from the first, before the second, as texts. */
interface Partition {
  readonly name: string
  /** Empty: from the first that there can be. */
  readonly from: string
  readonly to: string
}

const dayMs = 86_400_000
// So that a leader may be missed for a weekend.
const daysAhead = 3
// Making and dropping wait for those who read, and everybody else waits behind them.
const lockWithin = '500ms'
const rowsAtOnce = 5_000
// https://www.postgresql.org/docs/18/sql-altertable.html#SQL-ALTERTABLE-ATTACH-PARTITION
const boundShape = /FROM \((?:MINVALUE|'([0-9a-f-]{36})')\) TO \('([0-9a-f-]{36})'\)/

// By the database's clock: one process with a wrong one must not drop what everybody wants to keep.
const now = `SELECT (extract(epoch FROM date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC')) * 1000)::double precision AS today`

const partitions = `
SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass`

// The 48 bits of milliseconds that an id of version 7 begins with, in days.
function strayDays(table: Table): string {
  return `
SELECT DISTINCT ('x' || lpad(replace(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint / ${dayMs} AS day FROM ${table}_default`
}

/**
 * Makes the partitions of today and the days to come, and of days whose records went astray into the default
 * partition, because nobody had made theirs; those move along. Drops what is older than the retention, captured
 * bodies and dead letters too. For one process at a time. Throws the driver's error; what was done by then stays done, and the rest is done
 * the next time.
 */
export async function keepPartitions(
  client: pg.ClientBase,
  { retentionDays, log }: PartitionOptions,
): Promise<void> {
  const { rows } = await client.query<{ today: number }>(now)
  const today = (rows[0]?.today ?? 0) / dayMs
  const first = today - retentionDays
  // First, because no record waits for a drop.
  for (const table of tables) await makeDays(client, table, first, today, log)
  for (const table of tables) await dropOld(client, table, first, log)
  await deleteInBatches(client, `dead_letter WHERE created_at < to_timestamp(${(first * dayMs) / 1000})`)
  // Without the key of their day, bodies can't be read from a copy of their table either.
  await client.query('DELETE FROM body_key WHERE day < $1', [first])
}

async function makeDays(
  client: pg.ClientBase,
  table: Table,
  first: number,
  today: number,
  log: Log,
): Promise<void> {
  const last = today + daysAhead
  const strays = await client.query<{ day: bigint }>(strayDays(table))
  const wanted = new Set(Array.from({ length: daysAhead + 1 }, (_, ahead) => today + ahead))
  for (const { day } of strays.rows) if (Number(day) >= first && Number(day) <= last) wanted.add(Number(day))
  const there = await listPartitions(client, table)
  for (const day of [...wanted].toSorted((a, b) => a - b)) {
    if (there.some(({ from, to }) => from < leastId(day + 1) && leastId(day) < to)) continue
    const moved = await makeDay(client, table, day)
    log.info('records.partition_made', { name: nameOf(table, day), rows: moved })
  }
}

function leastId(day: number): string {
  return leastUuidv7(day * dayMs)
}

function nameOf(table: Table, day: number): string {
  return `${table}_${new Date(day * dayMs).toISOString().slice(0, 10).replaceAll('-', '')}`
}

async function listPartitions(client: pg.ClientBase, table: Table): Promise<readonly Partition[]> {
  const { rows } = await client.query<{ name: string; bound: string }>(partitions, [table])
  return rows.flatMap(({ name, bound }) => {
    const [matched, from = '', to = ''] = boundShape.exec(bound) ?? []
    return matched === undefined ? [] : [{ name, from, to }]
  })
}

/**
 * Makes a day's table, moves what is in the default partition and belongs into it, and attaches it, in one
 * transaction: no record is ever missing, or in two places. Returns the number of rows that have moved. Writers go on
 * meanwhile, but for those of such a day.
 */
async function makeDay(client: pg.ClientBase, table: Table, day: number): Promise<number> {
  const name = nameOf(table, day)
  const [from, to] = [leastId(day), leastId(day + 1)]
  return transaction(client, async () => {
    await client.query(
      `CREATE TABLE ${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING CONSTRAINTS INCLUDING STORAGE)`,
    )
    await client.query(`LOCK TABLE ${table}_default IN ACCESS EXCLUSIVE MODE`)
    const { rowCount } = await client.query(`
      WITH moved AS (DELETE FROM ${table}_default WHERE id >= '${from}' AND id < '${to}' RETURNING *)
      INSERT INTO ${name} SELECT * FROM moved`)
    await client.query(
      `ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${to}')`,
    )
    return rowCount ?? 0
  })
}

async function dropOld(client: pg.ClientBase, table: Table, first: number, log: Log): Promise<void> {
  const oldest = leastId(first)
  for (const { name, to } of await listPartitions(client, table)) {
    if (to > oldest) continue
    // Not detached before: where there is a default partition Postgres detaches none concurrently, and a drop locks
    // no longer. Its files go when its locks have gone.
    await transaction(client, () => client.query(`DROP TABLE ${client.escapeIdentifier(name)}`))
    log.info('records.partition_dropped', { name })
  }
  // Those of no day of their own, and of the table from before there were days.
  await deleteInBatches(client, `${table} WHERE id < '${oldest}'`)
}

async function deleteInBatches(client: pg.ClientBase, which: string): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      `DELETE FROM ${which} AND id IN (SELECT id FROM ${which} LIMIT ${rowsAtOnce})`,
    )
    if ((rowCount ?? 0) < rowsAtOnce) return
  }
}

async function transaction<Result>(client: pg.ClientBase, work: () => Promise<Result>): Promise<Result> {
  await client.query('BEGIN')
  try {
    await client.query(`SET LOCAL lock_timeout = '${lockWithin}'`)
    const result = await work()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}
