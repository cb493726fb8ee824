import { nanoUsd, type OrganizationId } from '@latchkey/shared'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { SteppingClock } from '../support/stepping-clock.ts'
import { addBudget, addOrganization, auditWindows, recordRequests, windowOf } from './books.ts'
import { attempt, expectHold, recordOf, request, soon, startEngine, tally } from './engines.ts'

let database: TestDatabase
let organization: OrganizationId

beforeAll(async () => {
  database = await startTestDatabase()
  organization = await addOrganization(database.pool)
})
afterAll(() => database.close())

// A busy machine may take longer than a client should wait.
const times = { recallFor: 5_000 }

const budgetOf = (limit: bigint, options = {}) => addBudget(database.pool, organization, limit, options)

test('of 1,000 requests at once, a budget that pays for 137 admits exactly 137', async () => {
  const { engine } = await startEngine(database.connection, { times })
  const budget = await budgetOf(137n * 1_000n + 999n)
  const decisions = await Promise.all(
    Array.from({ length: 1_000 }, () => engine.hold([budget], nanoUsd(1_000n))),
  )
  expect(tally(decisions)).toEqual({ held: 137, 'in-flight': 863 })

  const records = decisions.flatMap((decision) =>
    decision.kind === 'held' ? [recordOf(engine.settle(decision.hold, nanoUsd(1_000n)), 1_000n)] : [],
  )
  await recordRequests(database.pool, records)
  await expect
    .poll(() => engine.hold([budget], nanoUsd(1_000n)), soon)
    .toEqual({ kind: 'exhausted', budget, remaining: 999n })
  expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 137_000n, overage_nano: 0n })
})

test('key, group and organization budgets that cross hold together, over two processes', async () => {
  const engines = [
    await startEngine(database.connection, { times }),
    await startEngine(database.connection, { times }),
  ]
  const company = await budgetOf(150n, { scopeKind: 'organization' })
  const teams = [await budgetOf(100n, { scopeKind: 'group' }), await budgetOf(90n, { scopeKind: 'group' })]
  const keys = await Promise.all(Array.from({ length: 10 }, () => budgetOf(30n)))
  const decisions = await Promise.all(
    Array.from({ length: 600 }, async (_, index) => {
      const key = index % keys.length
      const budgets = [keys[key], teams[key % 2], company].filter((budget) => budget !== undefined)
      const engine = engines[index % 2]?.engine
      return engine === undefined ? null : engine.hold(budgets, nanoUsd(1n))
    }),
  )
  expect(decisions.filter((decision) => decision?.kind === 'held')).toHaveLength(150)
  for (const budget of [...teams, ...keys, company]) {
    const { leased_nano, limit_nano } = await windowOf(database.pool, budget)
    expect(leased_nano).toBeLessThanOrEqual(limit_nano)
  }
  await auditWindows(database.pool)
})

test('with nothing in flight, any request whose bound fits is admitted, whichever process it comes to', async () => {
  const engines = [
    await startEngine(database.connection, { times }),
    await startEngine(database.connection, { times }),
  ]
  const budgets = [await budgetOf(5_000n), await budgetOf(6_000n, { scopeKind: 'group' })]
  let spent = 0n
  for (let turn = 0; ; turn++) {
    const cost = BigInt(1 + ((turn * 37) % 100))
    const engine = engines[turn % 2]?.engine
    if (engine === undefined) throw new Error('there are two engines')
    const outcome = await request(engine, budgets, 100n, cost)
    if ('kind' in outcome) {
      expect(outcome).toEqual({ kind: 'exhausted', budget: budgets[0], remaining: 5_000n - spent })
      break
    }
    spent += cost
    await recordRequests(database.pool, [outcome])
  }
  expect(5_000n - spent).toBeLessThan(100n)
})

test('what is spent and not yet written is not in flight: a request that no longer fits is told what is left', async () => {
  const { engine } = await startEngine(database.connection)
  const budget = await budgetOf(1_000n)
  engine.settle(expectHold(await engine.hold([budget], nanoUsd(400n))), nanoUsd(100n))
  expect(await engine.hold([budget], nanoUsd(1_000n))).toEqual({
    kind: 'exhausted',
    budget,
    remaining: 900n,
  })
  expect(await attempt(engine, [budget], 900n)).toBe('held')
})

test('what another process does not need is recalled, and a hold waits for it', async () => {
  const [one, two] = [
    await startEngine(database.connection, { times }),
    await startEngine(database.connection, { times }),
  ]
  const budget = await budgetOf(100n)
  const hold = expectHold(await one.engine.hold([budget], nanoUsd(90n)))
  one.engine.settle(hold, nanoUsd(5n))
  expectHold(await two.engine.hold([budget], nanoUsd(90n)))
})

test('where requests elsewhere hold what is left, the refusal says so, and is remembered for a moment', async () => {
  const [one, two] = [
    await startEngine(database.connection),
    await startEngine(database.connection, { times: { refuseFor: 10_000 } }),
  ]
  const budget = await budgetOf(100n)
  expectHold(await one.engine.hold([budget], nanoUsd(90n)))
  expect(await two.engine.hold([budget], nanoUsd(20n))).toMatchObject({ kind: 'in-flight', budget })
  // Remembered: no statement, and no wait.
  expect(two.engine.hold([budget], nanoUsd(20n))).toMatchObject({ kind: 'in-flight', budget })
  expect(two.engine.hold([budget], nanoUsd(101n))).toMatchObject({ kind: 'exhausted', remaining: 100n })
})

test('in the steady state fewer than one request in fifty touches Postgres for its hold', async () => {
  const { engine } = await startEngine(database.connection)
  const scopes = [await budgetOf(20_000_000n), await budgetOf(50_000_000n), await budgetOf(90_000_000n)]
  for (let turn = 0; turn < 1_000; turn++) {
    const outcome = await request(engine, scopes, 3_000n, 1_000n)
    if ('kind' in outcome) throw new Error(outcome.kind)
  }
  expect(engine.statements).toBeLessThan(20)
})

test('a hold that leases can serve is decided in the same tick', async () => {
  const { engine } = await startEngine(database.connection)
  const budget = await budgetOf(1_000_000n)
  engine.giveBack(expectHold(await engine.hold([budget], nanoUsd(10n))))
  expect(engine.hold([budget], nanoUsd(10n))).toMatchObject({ kind: 'held' })
})

test('a request under no budget, and one that costs nothing, is held without the database', async () => {
  const { engine, kill } = await startEngine(database.connection)
  await kill()
  expect(engine.hold([], nanoUsd(10n))).toMatchObject({ kind: 'held' })
  const free = expectHold(await engine.hold([await budgetOf(10n)], nanoUsd(0n)))
  expect(engine.settle(free, nanoUsd(0n))).toEqual([])
})

test('what remains is told without asking: the least of the budgets, less what is in flight here', async () => {
  const { engine } = await startEngine(database.connection)
  const budgets = [await budgetOf(1_000n), await budgetOf(900n)]
  expect(engine.remaining(budgets)).toBeNull()
  const hold = expectHold(await engine.hold(budgets, nanoUsd(100n)))
  expect(engine.remaining(budgets)).toBe(800n)
  engine.settle(hold, nanoUsd(30n))
  expect(engine.remaining(budgets)).toBe(870n)
})

test('an aborted waiter takes nothing', async () => {
  const { engine } = await startEngine(database.connection)
  const budget = await budgetOf(10n)
  const leaving = new AbortController()
  const decision = engine.hold([budget], nanoUsd(10n), leaving.signal)
  leaving.abort()
  expect(await decision).toEqual({ kind: 'aborted' })
  expect(engine.hold([budget], nanoUsd(10n), leaving.signal)).toEqual({ kind: 'aborted' })
  expectHold(await engine.hold([budget], nanoUsd(10n)))
})

test('a hold ends once', async () => {
  const { engine } = await startEngine(database.connection)
  const hold = expectHold(await engine.hold([await budgetOf(10n)], nanoUsd(10n)))
  engine.settle(hold, nanoUsd(1n))
  expect(() => engine.giveBack(hold)).toThrow('ended twice')
  expect(() => engine.settle(hold, nanoUsd(1n))).toThrow('ended twice')
})

test('a cost beyond the hold is overage, and the next holds fall by it', async () => {
  const { engine } = await startEngine(database.connection)
  const budget = await budgetOf(100n)
  const hold = expectHold(await engine.hold([budget], nanoUsd(10n)))
  await recordRequests(database.pool, [recordOf(engine.settle(hold, nanoUsd(35n)), 35n)])
  expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 10n, overage_nano: 25n })
  expect(await engine.hold([budget], nanoUsd(66n))).toMatchObject({ kind: 'exhausted', remaining: 65n })
  expectHold(await engine.hold([budget], nanoUsd(65n)))
})

test('idle money goes back after two seconds where it is scarce, and after five minutes elsewhere', async () => {
  const clock = new SteppingClock()
  const { engine } = await startEngine(database.connection, { clock, times: { lookEvery: 5 } })
  const [scarce, ample] = [await budgetOf(100n), await budgetOf(100_000n)]
  engine.giveBack(expectHold(await engine.hold([scarce], nanoUsd(95n))))
  engine.giveBack(expectHold(await engine.hold([ample], nanoUsd(95n))))
  const leased = async () => [
    (await windowOf(database.pool, scarce)).leased_nano,
    (await windowOf(database.pool, ample)).leased_nano,
  ]
  clock.step(1_990)
  expect(await leased()).toEqual([95n, 380n])
  clock.step(20)
  await expect.poll(leased, soon).toEqual([0n, 380n])
  for (let beats = 0; beats < 20; beats++) {
    clock.step(15_000)
    await expect.poll(() => engine.hold([scarce], nanoUsd(1_000n)), soon).toMatchObject({ kind: 'exhausted' })
  }
  await expect.poll(leased, soon).toEqual([0n, 0n])
})
