import { nanoUsd } from '@latchkey/shared'
import type pg from 'pg'
import { beforeEach, expect, type Mock, onTestFinished, test, vi } from 'vitest'
import { Leasing } from '../../gateway/src/budget/leasing.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { addBudget, addOrganization, windowOf } from './books.ts'
import { attempt, expectHold, startEngine } from './engines.ts'

// What is not told, and not asked for, is not known.
const times = { beatEvery: 60_000, trustFor: 300_000, lookEvery: 60_000 }
const nothingIsOut = { leased_nano: 0n, unsettled_nano: 0n, overage_nano: 0n }

let database: TestDatabase
beforeEach(async () => {
  database = await startTestDatabase()
  onTestFinished(() => database.close())
})

const budgetOf = async (limit: bigint) =>
  addBudget(database.pool, await addOrganization(database.pool), limit)

/** Has `work` done before the answer to the next statement about leases that is done is known. */
function beforeNextAnswer(pool: pg.Pool, work: () => Promise<void>): void {
  const query = pool.query.bind(pool) as (config: pg.QueryConfig) => Promise<pg.QueryResult>
  const spy = vi.spyOn(pool, 'query') as Mock
  spy.mockImplementation(async (config: pg.QueryConfig) => {
    const result = await query(config)
    if (result.rows.some(({ verdict }) => verdict === 'done')) {
      spy.mockRestore()
      await work()
    }
    return result
  })
}

test('a lease that is granted while its process stops, to a client that has left, goes back whole', async () => {
  const budget = await budgetOf(1_000_000n)
  const first = await startEngine(database.connection, { times })
  expect(await attempt(first.engine, [budget], 10n)).toBe('held')
  await first.close()

  const { engine, close } = await startEngine(database.connection, { times })
  const other = await database.pool.connect()
  try {
    await other.query('BEGIN')
    await other.query('SELECT 1 FROM budget_window FOR UPDATE')
    const leaving = new AbortController()
    const decision = engine.hold([budget], nanoUsd(1_000n), leaving.signal)
    const waiting =
      "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    await expect.poll(async () => (await database.pool.query(waiting)).rowCount).toBe(1)
    leaving.abort()
    expect((await decision).kind).toBe('aborted')
    const closing = close()
    await other.query('COMMIT')
    await closing
  } finally {
    other.release()
  }
  expect(await windowOf(database.pool, budget)).toMatchObject(nothingIsOut)
})

test('a lease whose grant was committed in a reply that was lost goes back whole when its process stops', async () => {
  const budget = await budgetOf(1_000_000n)
  const { engine, pool, close } = await startEngine(database.connection, { times })
  const leaving = new AbortController()
  const lost = new Promise<void>((resolve) => {
    beforeNextAnswer(pool, async () => {
      leaving.abort()
      resolve()
      throw new Error('Connection terminated unexpectedly')
    })
  })
  expect((await engine.hold([budget], nanoUsd(1_000n), leaving.signal)).kind).toBe('aborted')
  await lost
  expect((await windowOf(database.pool, budget)).leased_nano).toBeGreaterThan(0n)
  await close()
  expect(await windowOf(database.pool, budget)).toMatchObject(nothingIsOut)
})

test('room that is made while an answer is on its way is not missed by who waits for it', async () => {
  const budget = await budgetOf(1_000n)
  // Long enough that only room, and never time, ends its wait.
  const patient = { ...times, recallFor: 10_000 }
  const start = () => startEngine(database.connection, { times: patient })
  const [holder, waiter, third] = [await start(), await start(), await start()]
  // Whoever has just heard of another process asks the database once more, for everybody who waits.
  for (const { engine } of [holder, waiter, third]) await expect.poll(() => engine.processes).toBe(3)
  const told = vi.spyOn(Leasing.prototype, 'room')
  onTestFinished(() => told.mockRestore())
  holder.engine.giveBack(expectHold(await holder.engine.hold([budget], nanoUsd(900n))))
  beforeNextAnswer(waiter.pool, async () => {
    // It recalls, the holder returns all, and everybody is told that there is room.
    expectHold(await third.engine.hold([budget], nanoUsd(110n)))
    await expect.poll(() => new Set(told.mock.contexts).size).toBe(3)
    // What it has to spare it can't be asked for.
    await third.kill()
  })
  expectHold(await waiter.engine.hold([budget], nanoUsd(500n)))
})
