import { type BudgetId, nanoUsd, type OrganizationId } from '@latchkey/shared'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mostLimit } from '../../gateway/src/budget/change-budget.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { severableSocket } from '../support/severable-socket.ts'
import { SteppingClock } from '../support/stepping-clock.ts'
import {
  addBudget,
  addOrganization,
  auditWindows,
  type RecordedRequest,
  recordRequests,
  windowOf,
} from './books.ts'
import { attempt, expectHold, recordOf, request, soon, startEngine, tally } from './engines.ts'

let database: TestDatabase
let organization: OrganizationId

beforeAll(async () => {
  database = await startTestDatabase()
  organization = await addOrganization(database.pool)
})
afterAll(() => database.close())

const budgetOf = (limit: bigint, options = {}) => addBudget(database.pool, organization, limit, options)

test('while Postgres is away leases go on, but not for longer than thirty seconds after the last heartbeat', async () => {
  const socket = await severableSocket(database.connection)
  const clock = new SteppingClock()
  const { engine } = await startEngine(socket.connection, { clock, times: { answerWithin: 1_000 } })
  const budget = await budgetOf(100_000n)
  engine.giveBack(expectHold(await engine.hold([budget], nanoUsd(10n))))
  await socket.cut()
  clock.step(29_000)
  expect(engine.hold([budget], nanoUsd(10n))).toMatchObject({ kind: 'held' })
  // No lease is left for this one.
  expect(await engine.hold([budget], nanoUsd(50_000n))).toEqual({ kind: 'unavailable' })
  clock.step(2_000)
  expect(await engine.hold([budget], nanoUsd(10n))).toEqual({ kind: 'unavailable' })
  await socket.mend()
  await expect.poll(async () => (await engine.hold([budget], nanoUsd(10n))).kind, soon).toBe('held')
  await socket.close()
})

test('a crowd waits for a database that is slow, as long as it answers', async () => {
  const slow = await startTestDatabase()
  const company = await addOrganization(slow.pool)
  const budget = await addBudget(slow.pool, company, 1_000_000n)
  const { engine } = await startEngine(slow.connection, { times: { answerWithin: 1_500 } })
  // Each batch of the crowd is answered in time; the four of them take longer than an answer may.
  await slow.pool.query(`
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END';
    CREATE TRIGGER dawdle AFTER UPDATE ON budget_window FOR EACH STATEMENT EXECUTE FUNCTION dawdle()`)
  const crowd = await Promise.all(Array.from({ length: 1_000 }, () => engine.hold([budget], nanoUsd(1_000n))))
  expect(crowd.filter(({ kind }) => kind !== 'held')).toEqual([])
  for (const decision of crowd) engine.giveBack(expectHold(decision))
  await slow.close()
})

test.each([3_600_000, -3_600_000])(
  'a wall clock that steps by %i ms costs one heartbeat and no lease',
  async (step) => {
    const clock = new SteppingClock()
    const { engine } = await startEngine(database.connection, { clock })
    const budget = await budgetOf(100_000n)
    engine.giveBack(expectHold(await engine.hold([budget], nanoUsd(10n))))
    const { statements } = engine
    clock.stepWall(step)
    const decision = engine.hold([budget], nanoUsd(10n))
    expect(decision).toBeInstanceOf(Promise)
    expectHold(await decision)
    expect(engine.hold([budget], nanoUsd(10n))).toMatchObject({ kind: 'held' })
    expect(engine.statements).toBe(statements)
  },
)

test('a process that was stopped past its sweep drops its leases, and what it had in flight replaces unsettled', async () => {
  const clock = new SteppingClock()
  const log = recordLog()
  const stopped = await startEngine(database.connection, { clock, log })
  const budget = await budgetOf(1_000n)
  const inFlight = expectHold(await stopped.engine.hold([budget], nanoUsd(100n)))
  // The only one that is left, as it thinks: it sweeps the other at once.
  const next = await startEngine(database.connection, { alone: true })
  expect(await windowOf(database.pool, budget)).toMatchObject({ leased_nano: 0n, unsettled_nano: 100n })

  clock.step(61_000)
  const after = expectHold(await stopped.engine.hold([budget], nanoUsd(900n)))
  expect(log.events.map(({ event }) => event)).toContain('budget.leases_dropped')
  expect(await next.engine.hold([budget], nanoUsd(1n))).toMatchObject({ kind: 'in-flight' })
  await recordRequests(database.pool, [
    recordOf(stopped.engine.settle(inFlight, nanoUsd(60n)), 60n),
    recordOf(stopped.engine.settle(after, nanoUsd(900n)), 900n),
  ])
  expect(await windowOf(database.pool, budget)).toMatchObject({
    settled_nano: 960n,
    unsettled_nano: 40n,
    leased_nano: 0n,
    overage_nano: 0n,
  })
})

test('a process that was killed is swept by another that has watched it, and nobody alive is', async () => {
  const times = { beatEvery: 50, deadAfter: 2_000, longestGap: 5_000 }
  const [killed, alive] = [
    await startEngine(database.connection, { times }),
    await startEngine(database.connection, { times }),
  ]
  const budgets = [await budgetOf(100n), await budgetOf(100n)] as const
  expectHold(await killed.engine.hold([budgets[0]], nanoUsd(70n)))
  expectHold(await alive.engine.hold([budgets[1]], nanoUsd(70n)))
  await killed.kill()
  await expect
    .poll(() => windowOf(database.pool, budgets[0]), soon)
    .toMatchObject({ leased_nano: 0n, unsettled_nano: 70n })
  expect(await windowOf(database.pool, budgets[1])).toMatchObject({ leased_nano: 70n, unsettled_nano: 0n })
  expect(await alive.engine.hold([budgets[0]], nanoUsd(31n))).toMatchObject({
    kind: 'exhausted',
    remaining: 30n,
  })
  expectHold(await alive.engine.hold([budgets[0]], nanoUsd(30n)))
})

test('a process that closes leaves nothing leased, and nothing to sweep', async () => {
  const { engine, close } = await startEngine(database.connection)
  const budget = await budgetOf(10_000n)
  const outcome = await request(engine, [budget], 10n, 4n)
  if ('kind' in outcome) throw new Error(outcome.kind)
  await recordRequests(database.pool, [outcome])
  await close()
  expect(await windowOf(database.pool, budget)).toMatchObject({
    settled_nano: 4n,
    leased_nano: 0n,
    unsettled_nano: 0n,
  })
  expect(engine.hold([budget], nanoUsd(1n))).toEqual({ kind: 'unavailable' })
})

test('what a process that closes has not recorded is left as unsettled, until its record comes', async () => {
  const { engine, close } = await startEngine(database.connection)
  const budget = await budgetOf(10_000n)
  const outcome = await request(engine, [budget], 10n, 4n)
  if ('kind' in outcome) throw new Error(outcome.kind)
  await close()
  expect(await windowOf(database.pool, budget)).toMatchObject({ leased_nano: 0n, unsettled_nano: 4n })
  await recordRequests(database.pool, [outcome])
  expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 4n, unsettled_nano: 0n })
})

test('replies that are lost under load neither lose money nor make any', async () => {
  const sockets = [await severableSocket(database.connection), await severableSocket(database.connection)]
  const engines = await Promise.all(sockets.map((socket) => startEngine(socket.connection)))
  const budgets = [await budgetOf(60_000n), await budgetOf(80_000n, { scopeKind: 'organization' })]
  const records: RecordedRequest[] = []
  let running = true
  let seed = 7
  const next = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed % below
  }
  const lane = async (index: number) => {
    const engine = engines[index % 2]?.engine
    while (running && engine !== undefined) {
      const bound = BigInt(20 + next(200))
      const decision = await engine.hold(budgets.slice(0, 1 + (index % 2)), nanoUsd(bound))
      await new Promise(setImmediate)
      if (decision.kind !== 'held') continue
      const cost = BigInt(next(Number(bound)))
      records.push(recordOf(engine.settle(decision.hold, nanoUsd(cost)), cost))
      if (records.length % 5 === 0) await recordRequests(database.pool, records.slice(-6))
    }
  }
  const lanes = Array.from({ length: 8 }, (_, index) => lane(index))
  for (let cuts = 0; cuts < 12; cuts++) {
    await new Promise((resolve) => setTimeout(resolve, 40))
    const socket = sockets[cuts % 2]
    await socket?.cut()
    await socket?.mend()
  }
  running = false
  await Promise.all(lanes)
  await recordRequests(database.pool, records)
  await Promise.all(engines.map(({ close }) => close()))
  await Promise.all(sockets.map((socket) => socket.close()))

  const spent = records.reduce((sum, record) => sum + record.cost, 0n)
  expect(spent).toBeLessThanOrEqual(60_000n)
  expect(await windowOf(database.pool, budgets[0] ?? never())).toMatchObject({
    settled_nano: spent,
    leased_nano: 0n,
    unsettled_nano: 0n,
    overage_nano: 0n,
  })
  await auditWindows(database.pool)
})

test('an amount that no column holds is more than a budget has, and no outage for anybody else', async () => {
  const { engine } = await startEngine(database.connection)
  const [first, second] = [await budgetOf(1_000n), await budgetOf(1_000n)]
  for (const amount of [mostLimit + 1n, 2n ** 63n, 2n ** 90n]) {
    const [beyond, within] = await Promise.all([
      engine.hold([first], nanoUsd(amount)),
      engine.hold([second], nanoUsd(10n)),
    ])
    expect(beyond).toEqual({ kind: 'exhausted', budget: first, remaining: 1_000n })
    engine.giveBack(expectHold(within))
  }
  expect(engine.hold([first], nanoUsd(2n ** 90n))).toMatchObject({ kind: 'exhausted', remaining: 1_000n })
  expect(await attempt(engine, [first], 1_000n)).toBe('held')
})

describe('what Postgres refuses over its data', () => {
  let broken: TestDatabase
  let company: OrganizationId
  beforeAll(async () => {
    broken = await startTestDatabase()
    company = await addOrganization(broken.pool)
    // An amount of 13 can't be leased, and none of 17 comes back.
    await broken.pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'INSERT' AND NEW.granted_nano = 13 OR TG_OP = 'UPDATE' AND OLD.granted_nano = 17 THEN
          RAISE EXCEPTION 'out of range' USING ERRCODE = '22003';
        END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON lease FOR EACH ROW EXECUTE FUNCTION refuse()`)
  })
  afterAll(() => broken.close())
  const budgetsOf = (limit: bigint, count: number) =>
    Promise.all(Array.from({ length: count }, () => addBudget(broken.pool, company, limit)))

  test('of a crowd’s holds is refused to the one that it is of; the others are granted', async () => {
    const log = recordLog()
    const { engine } = await startEngine(broken.connection, { log })
    const crowd = await budgetsOf(10n, 20)
    const [unlucky] = await budgetsOf(13n, 1)
    const decisions = await Promise.all(
      [...crowd, unlucky ?? never()].map((budget) =>
        engine.hold([budget], nanoUsd(budget === unlucky ? 13n : 10n)),
      ),
    )
    expect(tally(decisions)).toEqual({ held: 20, unavailable: 1 })
    expect(decisions.at(-1)).toEqual({ kind: 'unavailable' })
    expect(log.events).toMatchObject([
      { event: 'budget.change_refused', fields: { state: 'need', errorCode: '22003' } },
    ])
    // It is no outage.
    const [next] = await budgetsOf(10n, 1)
    expect(await attempt(engine, [next ?? never()], 10n)).toBe('held')
  })

  test('of what goes back stays leased, and all else goes back', async () => {
    const log = recordLog()
    const { engine, close } = await startEngine(broken.connection, { log })
    const budgets = await budgetsOf(17n, 12)
    for (const [index, budget] of budgets.entries())
      expect(await attempt(engine, [budget], index === 5 ? 17n : 16n)).toBe('held')
    await close()
    expect(log.events).toMatchObject([
      { event: 'budget.change_refused', fields: { state: 'return', errorCode: '22003' } },
      { event: 'budget.epoch_left_open' },
    ])
    const leased = await Promise.all(
      budgets.map(async (budget) => (await windowOf(broken.pool, budget)).leased_nano),
    )
    expect(leased).toEqual(budgets.map((_, index) => (index === 5 ? 17n : 0n)))
  })
})

test('a process that closes gives back thousands of leases in time', async () => {
  const { engine, close } = await startEngine(database.connection)
  const { rows } = await database.pool.query<{ id: BudgetId }>(
    `INSERT INTO budget (id, organization_id, scope_kind, scope_id, period, limit_nano, status, thresholds, revision, created_at, updated_at)
     SELECT id, $1, 'key', id::text, 'total', 1000, 'active', '{}', 1, now(), now() FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 2000)) AS new
     RETURNING id`,
    [organization],
  )
  const decisions = await Promise.all(rows.map(({ id }) => engine.hold([id], nanoUsd(10n))))
  for (const decision of decisions) engine.giveBack(expectHold(decision))
  const { statements } = engine
  await close()
  // So many at once that what others need meanwhile would not have waited for all of them.
  expect(engine.statements - statements).toBe(Math.ceil(rows.length / 256))
  const left = await database.pool.query(
    `SELECT FROM budget_window WHERE budget_id = ANY($1) AND leased_nano + unsettled_nano > 0`,
    [rows.map(({ id }) => id)],
  )
  expect(left.rows).toHaveLength(0)
})

function never(): never {
  throw new Error('there is such a budget')
}
