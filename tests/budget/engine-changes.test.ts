import { type BudgetId, nanoUsd, type OrganizationId } from '@latchkey/shared'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { changeBudget } from '../../gateway/src/budget/change-budget.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addBudget,
  addOrganization,
  auditWindows,
  type RecordedRequest,
  recordRequests,
  windowOf,
  windowsOf,
} from './books.ts'
import { attempt, expectHold, recordOf, soon, startEngine } from './engines.ts'

let database: TestDatabase
let organization: OrganizationId

beforeAll(async () => {
  database = await startTestDatabase()
  organization = await addOrganization(database.pool)
})
afterAll(() => database.close())

const budgetOf = (limit: bigint, options = {}) => addBudget(database.pool, organization, limit, options)
const at = new Date(0)

test('a pause stops every process, whatever it has leased, and a resumption lets it go on', async () => {
  const engines = [await startEngine(database.connection), await startEngine(database.connection)]
  const budget = await budgetOf(1_000_000n)
  const holds = await Promise.all(engines.map(({ engine }) => engine.hold([budget], nanoUsd(10n))))
  const kinds = () => Promise.all(engines.map(({ engine }) => attempt(engine, [budget], 1n)))
  await changeBudget(database.pool, { budget, status: 'paused', at })
  await expect.poll(kinds, soon).toEqual(['paused', 'paused'])
  // What was in flight comes back, and may not be spent again.
  for (const [index, decision] of holds.entries())
    engines[index]?.engine.settle(expectHold(decision), nanoUsd(1n))
  await expect.poll(kinds, soon).toEqual(['paused', 'paused'])
  await expect.poll(async () => (await windowOf(database.pool, budget)).leased_nano, soon).toBe(2n)
  await changeBudget(database.pool, { budget, status: 'active', at })
  await expect.poll(kinds, soon).toEqual(['held', 'held'])
})

test('lowering a limit below what is spent refuses from then on, and a top-up admits again', async () => {
  const { engine } = await startEngine(database.connection)
  const budget = await budgetOf(1_000_000n)
  const hold = expectHold(await engine.hold([budget], nanoUsd(100n)))
  await recordRequests(database.pool, [recordOf(engine.settle(hold, nanoUsd(100n)), 100n)])
  await changeBudget(database.pool, { budget, limit: { to: nanoUsd(50n) }, at })
  await expect.poll(() => attempt(engine, [budget], 1n), soon).toBe('exhausted')
  expect(await engine.hold([budget], nanoUsd(1n))).toEqual({ kind: 'exhausted', budget, remaining: 0n })
  await changeBudget(database.pool, { budget, limit: { by: nanoUsd(60n) }, at })
  await expect.poll(() => attempt(engine, [budget], 10n), soon).toBe('held')
  expect(await attempt(engine, [budget], 11n)).toBe('exhausted')
})

test('under a limit that is raised and lowered, every cost stays within its lease, and the last limit holds', async () => {
  const engines = [await startEngine(database.connection), await startEngine(database.connection)]
  const budget = await budgetOf(400n)
  let running = true
  const records: RecordedRequest[] = []
  const lane = async (index: number) => {
    const engine = engines[index % 2]?.engine
    while (running && engine !== undefined) {
      const decision = await engine.hold([budget], nanoUsd(7n))
      await new Promise(setImmediate)
      if (decision.kind !== 'held') continue
      const record = recordOf(engine.settle(decision.hold, nanoUsd(5n)), 5n)
      records.push(record)
      await recordRequests(database.pool, [record])
    }
  }
  const lanes = Array.from({ length: 6 }, (_, index) => lane(index))
  for (const limit of [800n, 200n, 1_200n, 10n, 1_600n, 1_400n]) {
    await changeBudget(database.pool, { budget, limit: { to: nanoUsd(limit) }, at })
    await new Promise((resolve) => setTimeout(resolve, 60))
  }
  await expect
    .poll(async () => 1_400n - (await windowOf(database.pool, budget)).settled_nano, soon)
    .toBeLessThan(7n)
  running = false
  await Promise.all(lanes)
  expect(await windowOf(database.pool, budget)).toMatchObject({
    settled_nano: BigInt(records.length) * 5n,
    overage_nano: 0n,
  })
  await auditWindows(database.pool)
})

test('at midnight of the database, whatever our clock says, holds fall into the new day and settle into their own', async () => {
  const day = await startTestDatabase()
  const company = await addOrganization(day.pool)
  await shiftClock(day)
  await setClock(day, '2026-03-01T23:59:00Z')
  const engines = [await startEngine(day.connection), await startEngine(day.connection)]
  const daily = await addBudget(day.pool, company, 1_000n, { period: 'day' })
  const total = await addBudget(day.pool, company, 100_000n)
  const budgets: readonly BudgetId[] = [daily, total]
  const yesterday = await Promise.all(engines.map(({ engine }) => engine.hold(budgets, nanoUsd(300n))))
  expect(await engines[0]?.engine.hold(budgets, nanoUsd(600n))).toMatchObject({ kind: 'in-flight' })

  await setClock(day, '2026-03-01T23:59:59.700Z')
  // Whatever a process asks tells it the time, as its next heartbeat would.
  for (const { engine } of engines) await attempt(engine, [total], 50_000n)
  await expect
    .poll(async () => (await engines[0]?.engine.hold(budgets, nanoUsd(1_000n)))?.kind, soon)
    .toBe('held')

  const records = yesterday.map((decision, index) =>
    recordOf(engines[index]?.engine.settle(expectHold(decision), nanoUsd(250n)) ?? [], 250n),
  )
  await recordRequests(day.pool, records)
  const windows = await windowsOf(day.pool, daily)
  expect(windows).toMatchObject([
    {
      starts_at: new Date('2026-03-01T00:00:00Z'),
      ends_at: new Date('2026-03-02T00:00:00Z'),
      settled_nano: 500n,
    },
    {
      starts_at: new Date('2026-03-02T00:00:00Z'),
      settled_nano: 0n,
      leased_nano: 1_000n,
      limit_nano: 1_000n,
    },
  ])
  expect(await windowOf(day.pool, total)).toMatchObject({ settled_nano: 500n })
  await auditWindows(day.pool)
  await day.close()
})

test('where the clock of the database is set back over midnight, the day before goes on', async () => {
  const day = await startTestDatabase()
  const company = await addOrganization(day.pool)
  await shiftClock(day)
  const { engine } = await startEngine(day.connection)
  const daily = await addBudget(day.pool, company, 1_000n, { period: 'day' })
  const spend = async (amount: bigint) => {
    const decision = await engine.hold([daily], nanoUsd(amount))
    const record = recordOf(engine.settle(expectHold(decision), nanoUsd(amount)), amount)
    await recordRequests(day.pool, [record])
  }
  await setClock(day, '2026-03-01T23:30:00Z')
  await spend(300n)
  await setClock(day, '2026-03-02T00:30:00Z')
  // More than the lease of the day before has left, so the database is asked, and told the time by it.
  await spend(1_000n)
  await setClock(day, '2026-03-01T23:30:00Z')
  await spend(700n)
  await setClock(day, '2026-03-03T00:30:00Z')
  await spend(400n)
  expect(await windowsOf(day.pool, daily)).toMatchObject([
    { starts_at: new Date('2026-03-01T00:00:00Z'), settled_nano: 1_000n },
    { starts_at: new Date('2026-03-02T00:00:00Z'), settled_nano: 1_000n },
    { starts_at: new Date('2026-03-03T00:00:00Z'), settled_nano: 400n },
  ])
  await auditWindows(day.pool)
  await day.close()
})

/** A database whose clock a test can set: its own `clock_timestamp` comes before Postgres's. */
async function shiftClock({ pool, connection }: TestDatabase): Promise<void> {
  await pool.query(`
    CREATE SCHEMA clock;
    CREATE TABLE clock.shift (by interval NOT NULL);
    INSERT INTO clock.shift VALUES ('0');
    CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
      AS 'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM clock.shift)';
    ALTER DATABASE ${connection.database} SET search_path = clock, pg_catalog, public`)
}

async function setClock({ pool }: TestDatabase, time: string): Promise<void> {
  await pool.query('UPDATE clock.shift SET by = $1::timestamptz - pg_catalog.clock_timestamp()', [time])
}
