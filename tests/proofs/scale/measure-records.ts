import { type BudgetId, nanoUsd, type OrganizationId } from '@latchkey/shared'
import type { BudgetEngine } from '../../../gateway/src/budget/engine.ts'
import type { Settlement } from '../../../gateway/src/budget/settle.ts'
import { insertRows } from '../../../gateway/src/records/batch-insert.ts'
import { LastUses } from '../../../gateway/src/records/last-uses.ts'
import { type RecordRow, rowOf } from '../../../gateway/src/records/record-row.ts'
import { addBudget, addOrganization } from '../../budget/books.ts'
import { typicalRecord } from '../../records/record.ts'
import { timed } from './measure-leases.ts'
import { addKeyBudgets, type ScratchDatabase } from './scratch-database.ts'

const keys = 2_000
const largeLimit = 900_000_000_000_000_000n
const bound = nanoUsd(700_000n)
const cost = nanoUsd(180_000n)

/** What one way of writing records comes to. */
export interface RecordFigures {
  readonly rowsABatch: number
  readonly writers: number
  /** Whether all of them settle into the budget of one organization, or each into that of its own. */
  readonly organizations: 'one' | 'one each'
  readonly rowsPerSecond: number
  readonly walBytesARow: number
}

export interface RecordsMeasured {
  readonly ways: readonly RecordFigures[]
  /** Of the table and its indexes. */
  readonly diskBytesARow: number
}

interface Writer {
  readonly organization: OrganizationId
  readonly engine: BudgetEngine
  readonly shared: BudgetId
  readonly budgets: readonly BudgetId[]
}

/** Writes batches of records that settle into three budgets each, from several writers at a time. */
export async function measureRecords(database: ScratchDatabase): Promise<RecordsMeasured> {
  const { pool } = database.main
  const writers: Writer[] = []
  for (let count = 0; count < 4; count++) {
    const organization = await addOrganization(pool)
    const budgets = await addKeyBudgets(database, organization, keys, 4_000_000_000n)
    const shared = await addBudget(pool, organization, largeLimit, { scopeKind: 'group' })
    const engine = await database.startEngine()
    writers.push({ organization, engine, shared, budgets })
  }
  const [first] = writers
  if (first === undefined) throw new Error('there are writers')
  const one = writers.map((writer) => ({ ...writer, shared: first.shared }))
  const ways: RecordFigures[] = []
  for (const rowsABatch of [100, 500]) {
    ways.push(await measureWay(database, one.slice(0, 1), rowsABatch, 'one'))
    ways.push(await measureWay(database, one, rowsABatch, 'one'))
    ways.push(await measureWay(database, writers, rowsABatch, 'one each'))
  }
  const { rows } = await pool.query<{ bytes: number }>(
    `SELECT (sum(pg_total_relation_size(relid)) / (SELECT count(*) FROM request))::double precision AS bytes
     FROM pg_partition_tree('request') WHERE isleaf`,
  )
  return { ways, diskBytesARow: rows[0]?.bytes ?? 0 }
}

async function measureWay(
  { main }: ScratchDatabase,
  writers: readonly Writer[],
  rowsABatch: number,
  organizations: RecordFigures['organizations'],
): Promise<RecordFigures> {
  const batches = Math.ceil(6_000 / rowsABatch / writers.length)
  const written: (readonly (readonly RecordRow[])[])[] = []
  for (const writer of writers) {
    const ofWriter: (readonly RecordRow[])[] = []
    for (let batch = 0; batch < batches; batch++) ofWriter.push(await recordsOf(writer, rowsABatch))
    written.push(ofWriter)
  }
  const before = await walBytes(main.pool)
  const milliseconds = await timed(() =>
    Promise.all(
      written.map(async (ofWriter) => {
        const lastUses = new LastUses()
        for (const rows of ofWriter) await insertRows(main.pool, rows, lastUses)
      }),
    ),
  )
  const rows = rowsABatch * batches * writers.length
  return {
    rowsABatch,
    writers: writers.length,
    organizations,
    rowsPerSecond: (rows / milliseconds) * 1000,
    walBytesARow: ((await walBytes(main.pool)) - before) / rows,
  }
}

async function walBytes(pool: ScratchDatabase['main']['pool']): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::double precision AS bytes`,
  )
  return rows[0]?.bytes ?? 0
}

/** Records of keys at random. Their holds are taken together, so that leases are fetched together. */
function recordsOf(writer: Writer, count: number): Promise<readonly RecordRow[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const place = Math.floor(Math.random() * writer.budgets.length)
      const [own, group] = [writer.budgets[place], writer.budgets[Math.floor(place / 100)]]
      const budgets = [...new Set([own, group, writer.shared])].filter((id) => id !== undefined)
      const decision = await writer.engine.hold(budgets, bound)
      if (decision.kind !== 'held') throw new Error(decision.kind)
      return rowFor(writer, writer.engine.settle(decision.hold, cost))
    }),
  )
}

function rowFor({ organization }: Writer, settlements: readonly Settlement[]): RecordRow {
  return rowOf(typicalRecord({ organizationId: organization, cost, held: bound, settlements }))
}
