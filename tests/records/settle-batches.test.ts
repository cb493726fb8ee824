import { type BudgetId, nanoUsd, type StoredSettlement } from '@latchkey/shared'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import type { BudgetEngine } from '../../gateway/src/budget/engine.ts'
import { insertRows } from '../../gateway/src/records/batch-insert.ts'
import { batchSettlements } from '../../gateway/src/records/batch-settlements.ts'
import { type RecordRow, rowOf } from '../../gateway/src/records/record-row.ts'
import { addBudget, addOrganization, auditWindows, windowOf } from '../budget/books.ts'
import { expectHold, startEngine } from '../budget/engines.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { record } from './record.ts'

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
async function paid(): Promise<RecordRow> {
  const hold = expectHold(await engine.hold(budgets, nanoUsd(20n)))
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

test('a row that says otherwise than we do what it settles is for Postgres to judge', async () => {
  const row = await paid()
  const [settlement] = row.settlements as readonly StoredSettlement[]
  const spelled = { ...row, settlements: [{ ...settlement, within: 20 }, ...secondOf(row)] }
  expect(batchSettlements([spelled])).toBeNull()
  await insertRows(database.pool, [spelled])
  await expectSettled(1n)
})

test.each([
  ['no list', 'none'],
  ['nothing', [null]],
  ['a part', [{ window: '1', lease: 'a', within: '1' }]],
  ['a negative amount', [{ window: '1', lease: 'a', within: '-1', beyond: '0' }]],
  ['no amount', [{ window: '1', lease: 'a', within: '', beyond: '0' }]],
  [
    'one lease in two windows',
    ['1', '2'].map((window) => ({ window, lease: 'a', within: '1', beyond: '0' })),
  ],
])('sums are not made of %s', (_what, settlements) => {
  expect(batchSettlements([{ ...rowOf(record()), settlements }])).toBeNull()
})

function secondOf(row: RecordRow): readonly StoredSettlement[] {
  return (row.settlements as readonly StoredSettlement[]).slice(1)
}
