import { type BudgetId, nanoUsd, type StoredSettlement, systemClock } from '@latchkey/shared'
import pg from 'pg'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import type { BudgetEngine } from '../../gateway/src/budget/engine.ts'
import { insertRows } from '../../gateway/src/records/batch-insert.ts'
import { batchSettlements } from '../../gateway/src/records/batch-settlements.ts'
import { type RecordRow, rowOf } from '../../gateway/src/records/record-row.ts'
import { addBudget, addOrganization, addProxyKeyRow, auditWindows, windowOf } from '../budget/books.ts'
import { expectHold, startEngine } from '../budget/engines.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { record } from './record.ts'

const one = { window: '1', lease: '00000000-0000-4000-8000-00000000000a', within: '3', beyond: '0' }

let database: TestDatabase
let engine: BudgetEngine
let budgets: readonly BudgetId[]

beforeEach(async () => {
  database = await startTestDatabase()
  onTestFinished(() => database.close())
  const organization = await addOrganization(database.pool)
  const add = () => addBudget(database.pool, organization, 1_000_000n)
  budgets = [await add(), await add()]
  engine = (await startEngine(database.connection)).engine
})

/** The row of a request that cost 30 nano-dollars, of which its hold covers 20. */
async function paid(from = budgets): Promise<RecordRow> {
  const hold = expectHold(await engine.hold(from, nanoUsd(20n)))
  return rowOf(record({ cost: nanoUsd(30n), settlements: engine.settle(hold, nanoUsd(30n)) }))
}

async function expectSettled(requests: bigint): Promise<void> {
  for (const budget of budgets) {
    const { settled_nano, overage_nano } = await windowOf(database.pool, budget)
    expect([settled_nano, overage_nano]).toEqual([20n * requests, 10n * requests])
  }
  await auditWindows(database.pool)
}

test('rows that are new settle into all their budgets, together', async () => {
  await insertRows(database.pool, [await paid(), await paid(), rowOf(record()), await paid()])
  await expectSettled(3n)
})

test('rows that are there already settle no second time, and hold up none of those that are new', async () => {
  const [one, two, three] = [await paid(), await paid(), await paid()]
  await insertRows(database.pool, [one, two])
  await insertRows(database.pool, [two, three, one, three])
  await expectSettled(3n)
})

test('two writers of the same rows at once settle them once', async () => {
  const rows = await Promise.all(Array.from({ length: 40 }, paid))
  await Promise.all([insertRows(database.pool, rows), insertRows(database.pool, rows.toReversed())])
  await expectSettled(40n)
})

test('what a batch takes of Postgres grows with its rows, however many keys and budgets they have', async () => {
  const keys = 100
  const organization = await addOrganization(database.pool)
  const own: BudgetId[] = []
  while (own.length < keys) {
    await addProxyKeyRow(database.pool, organization, `key ${own.length}`)
    own.push(await addBudget(database.pool, organization, 1_000_000n))
  }
  const startedAt = systemClock.now()
  const batch = (at: number) =>
    Promise.all(
      own.map(async (budget, index) => ({
        ...(await paid([budget, ...budgets])),
        proxy_key_id: `key ${index}`,
        started_at: new Date(at).toISOString(),
      })),
    )
  // What is prepared belongs to one connection, and the plan that it settles on is that for any parameters.
  const client = await database.pool.connect()
  onTestFinished(() => client.release(true))
  await client.query('SET plan_cache_mode = force_generic_plan')
  await client.query('ANALYZE')
  await insertRows(
    asPool((asked) => client.query(asked)),
    await batch(startedAt),
  )
  let explained: ExplainedRow[] = []
  const explain = async ({ name = '', values = [] }: pg.QueryConfig<unknown[]>) => {
    const given = values.map((value) => literal(value)).join(', ')
    const { rows } = await client.query<ExplainedRow>(
      `EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE "${name}" (${given})`,
    )
    explained = rows
  }
  await insertRows(asPool(explain), await batch(startedAt + 60_000))
  await expectSettled(BigInt(2 * keys))
  const [plan] = explained[0]?.['QUERY PLAN'] ?? []
  expect(plan).toBeDefined()
  if (plan !== undefined) expect(rowsOf(plan.Plan)).toBeLessThan(5 * (keys + budgets.length))
})

test('rows that say otherwise than we do what they settle are for Postgres to judge', async () => {
  const number = respelled(await paid(), ({ within, ...rest }) => ({ ...rest, within: Number(within) }))
  await insertRows(database.pool, [await paid(), number])
  const capitals = respelled(await paid(), ({ lease, ...rest }) => ({ ...rest, lease: lease.toUpperCase() }))
  await insertRows(database.pool, [await paid(), capitals])
  await expectSettled(4n)
})

test('a settlement that lacks its amounts, as no release has written it, settles nothing', async () => {
  const lacking = respelled(await paid(), ({ window, lease }) => ({ window, lease }))
  await insertRows(database.pool, [await paid(), lacking])
  await expectSettled(1n)
})

test('what is spelled as we do is summed for each lease', () => {
  const other = { ...one, lease: '00000000-0000-4000-8000-00000000000b', beyond: '5' }
  const rows = [[one, other], [], [one]].map((settlements) => ({ ...rowOf(record()), settlements }))
  expect(batchSettlements(rows)).toEqual({
    windows: ['1', '1'],
    leases: [one.lease, other.lease],
    within: ['6', '3'],
    beyond: ['0', '5'],
  })
})

test.each([
  ['no list', 'none'],
  ['nothing', [null]],
  ['a part', [{ window: '1', lease: one.lease, within: '1' }]],
  ['a lease that is none', [{ ...one, lease: 'a' }]],
  ['a lease in capitals', [{ ...one, lease: one.lease.toUpperCase() }]],
  ['an amount that is a number', [{ ...one, within: 3 }]],
  ['a negative amount', [{ ...one, within: '-1' }]],
  ['no amount', [{ ...one, beyond: '' }]],
  ['one lease in two windows', [one, { ...one, window: '2' }]],
])('sums are not made of %s', (_what, settlements) => {
  expect(batchSettlements([{ ...rowOf(record()), settlements }])).toBeNull()
})

/** A row whose settlements are all spelled in another way. */
function respelled(row: RecordRow, spell: (settlement: StoredSettlement) => unknown): RecordRow {
  return { ...row, settlements: (row.settlements as readonly StoredSettlement[]).map(spell) }
}

interface ExplainedPlan {
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Join Filter'?: number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly ExplainedPlan[]
}

interface ExplainedRow {
  readonly 'QUERY PLAN': readonly { readonly Plan: ExplainedPlan }[]
}

/** The most rows that one step of a plan has made or thrown away. */
function rowsOf(plan: ExplainedPlan): number {
  const removed = (plan['Rows Removed by Join Filter'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0)
  const own = (plan['Actual Rows'] + removed) * plan['Actual Loops']
  return Math.max(own, ...(plan.Plans ?? []).map(rowsOf))
}

/** One connection in the place of a pool. */
function asPool(query: (asked: pg.QueryConfig<unknown[]>) => Promise<unknown>): pg.Pool {
  return new Proxy(database.pool, {
    get: (pool, name) => (name === 'query' ? query : Reflect.get(pool, name)),
  })
}

/** A parameter as SQL has it. */
function literal(value: unknown): string {
  return pg.escapeLiteral(Array.isArray(value) ? `{${value.join()}}` : String(value))
}
