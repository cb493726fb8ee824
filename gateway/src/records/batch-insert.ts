import { errorCode } from '@latchkey/shared'
import type pg from 'pg'
import { settleInserted, settleSums } from '../budget/settle.ts'
import { isRepeatable, runStatement, type Statement } from '../budget/statement.ts'
import { batchSettlements } from './batch-settlements.ts'
import { columnArrays } from './column-arrays.ts'
import { type DueUses, LastUses } from './last-uses.ts'
import { columnNames, type RecordRow, recordColumns, rowOf } from './record-row.ts'
import type { RequestRecord } from './request-record.ts'

const names = columnNames.join(', ')
const arrays = columnNames.map((name, index) => `$${index + 1}::${recordColumns[name].type}[]`).join(', ')
/** The first of the parameters that say when keys were last used. */
const firstUse = columnNames.length + 1
/** The first of those that a statement has beside the others'. */
const firstOwn = firstUse + 4

// Records come at least once, so a second one of the same id is no error, and settles nothing.
const onlyNew = 'ON CONFLICT (id) DO NOTHING'

// In the order of their ids, so that two statements don't wait for each other. Kept to the minute.
function touch(table: 'proxy_key' | 'provider_key', ids: string, moments: string): string {
  return `UPDATE ${table} SET last_used_at = used.at FROM (SELECT * FROM unnest(${ids}, ${moments}) AS use (id, at) ORDER BY id) AS used
    WHERE ${table}.id = used.id AND (last_used_at IS NULL OR date_trunc('minute', last_used_at) < date_trunc('minute', used.at))`
}

// One array for each column, which costs Postgres less to take apart than JSON.
function insertText(onConflict: string, settling: string, more = ''): string {
  return `
WITH inserted AS (
  INSERT INTO request (${names}) SELECT ${names} FROM unnest(${arrays}) AS row (${names}) ORDER BY id
  ${onConflict} RETURNING id, settlements
),
${settling},
${more}
touched AS (${touch('proxy_key', `$${firstUse}::text[]`, `$${firstUse + 1}::timestamptz[]`)})
${touch('provider_key', `$${firstUse + 2}::uuid[]`, `$${firstUse + 3}::timestamptz[]`)}`
}

const insert: Statement = { name: 'insert-requests-once', text: insertText(onlyNew, settleInserted) }

const insertNew: Statement = { name: 'insert-requests', text: insertText('', settleSums(firstOwn)) }

const insertDead: Statement = {
  name: 'insert-dead-letter',
  text: insertText(
    onlyNew,
    settleInserted,
    `
dead AS (
  INSERT INTO dead_letter (id, record, reason, created_at) SELECT id, $${firstOwn}, $${firstOwn + 1}, $${firstOwn + 2}::timestamptz FROM inserted
  ON CONFLICT (id) DO NOTHING
),`,
  ),
}

const mostMoves = 5

/**
 * Writes rows and settles their costs, in one statement. A row whose request has one already is left out. `lastUses`
 * leaves out what was told of the rows' keys before. Throws the driver's error; then none is written.
 */
export async function insertRows(
  pool: pg.Pool,
  rows: readonly RecordRow[],
  lastUses = new LastUses(),
): Promise<void> {
  const due = lastUses.due(rows)
  const values = valuesOf(rows, due)
  if (!(await insertAllNew(pool, rows, values)))
    await insertWhereverItIs(() => runStatement(pool, insert, values))
  lastUses.told(due)
}

/** What all the statements ask for. */
function valuesOf(rows: readonly RecordRow[], { proxyKeys, providerKeys }: DueUses): readonly unknown[] {
  const uses = [proxyKeys, providerKeys].flatMap((keys) => [[...keys.keys()], [...keys.values()]])
  return [...columnArrays(rows), ...uses]
}

/**
 * Writes rows that are all new, which is nearly always so: to look for each of them, and to add up what they settle from
 * their JSON, takes Postgres longer. False: one may be there already, and none is written.
 */
async function insertAllNew(
  pool: pg.Pool,
  rows: readonly RecordRow[],
  common: readonly unknown[],
): Promise<boolean> {
  const sums = batchSettlements(rows)
  if (sums === null) return false
  const values = [...common, sums.windows, sums.leases, sums.within, sums.beyond]
  try {
    await insertWhereverItIs(() => pool.query({ ...insertNew, values }))
    return true
  } catch (error) {
    if (isRepeatable(error)) return false
    throw error
  }
}

/** As `insertRows`, of records. */
export function insertRecords(pool: pg.Pool, records: readonly RequestRecord[]): Promise<void> {
  return insertRows(pool, records.map(rowOf))
}

export interface DeadLetter {
  /** What can be written of the record; it settles like any other. */
  readonly sound: RecordRow
  /** What could not. */
  readonly record: string
  /** SQLSTATE. */
  readonly reason: string
  /** Milliseconds since the Unix epoch. */
  readonly at: number
}

/** Writes what can be written of a record, settles it and keeps the rest, in one statement. Throws the driver's error. */
export async function insertDeadLetter(pool: pg.Pool, letter: DeadLetter): Promise<void> {
  const { sound, record, reason, at } = letter
  const values = [...valuesOf([sound], new LastUses().due([sound])), record, reason, new Date(at)]
  await insertWhereverItIs(() => runStatement(pool, insertDead, values))
}

/**
 * A statement that was sent to the default partition is refused where the partition of its day was made in the same
 * moment. It finds its way when it is repeated.
 */
async function insertWhereverItIs(run: () => Promise<unknown>): Promise<void> {
  for (let moves = 0; ; moves++) {
    try {
      await run()
      return
    } catch (error) {
      if (moves === mostMoves || !hasMoved(error)) throw error
    }
  }
}

/** The one check that the table of requests has is that of a partition's bounds. */
function hasMoved(error: unknown): boolean {
  const isOfRequests = error instanceof Error && 'table' in error && String(error.table).startsWith('request')
  return isOfRequests && errorCode(error) === '23514'
}

/** Adds to the counts of refused requests, one row per code and minute. Throws the driver's error. */
export async function addRefusals(pool: pg.Pool, counts: readonly RefusalCount[]): Promise<void> {
  await pool.query({
    name: 'add-refusals',
    text: `INSERT INTO refusal (minute, code, count)
           SELECT minute, code, count FROM json_to_recordset($1::json) AS row (minute timestamptz, code text, count bigint)
           ON CONFLICT (minute, code) DO UPDATE SET count = refusal.count + excluded.count`,
    values: [JSON.stringify(counts)],
  })
}

/** How often a code was given within the minute that begins at `minute` (ISO 8601). */
export interface RefusalCount {
  readonly minute: string
  readonly code: string
  readonly count: number
}
