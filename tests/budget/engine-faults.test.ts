import { nanoUsd, type OrganizationId } from '@latchkey/shared'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
import { expectHold, recordOf, request, soon, startEngine } from './engines.ts'

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

function never(): never {
  throw new Error('there is such a budget')
}
