import { type BudgetId, type LeaseId, nanoUsd, type OrganizationId } from '@latchkey/shared'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { changeBudget, mostLimit } from '../../gateway/src/budget/change-budget.ts'
import { beginEpoch, endEpoch } from '../../gateway/src/budget/epoch.ts'
import { releaseLeases } from '../../gateway/src/budget/release.ts'
import { splitCost } from '../../gateway/src/budget/settle.ts'
import { sweepLeases } from '../../gateway/src/budget/sweep.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addBudget,
  addOrganization,
  auditWindows,
  type BudgetOptions,
  changeLeasesWithWindows,
  newEpochId,
  newLeaseId,
  newRequestId,
  recordRequests,
  windowOf,
} from './books.ts'

let database: TestDatabase
let organization: OrganizationId

beforeAll(async () => {
  database = await startTestDatabase()
  organization = await addOrganization(database.pool)
})
afterAll(() => database.close())

interface Leased {
  readonly budget: BudgetId
  readonly window: bigint
  readonly lease: LeaseId
  sweep(): Promise<void>
  request(held: bigint, cost: bigint): Parameters<typeof recordRequests>[1][number]
  figures(): ReturnType<typeof windowOf>
}

/** A budget of 100 whose one lease has 50 outstanding. */
async function leased(options: BudgetOptions = {}): Promise<Leased> {
  const epoch = newEpochId()
  const lease = newLeaseId()
  await beginEpoch(database.pool, epoch)
  const budget = await addBudget(database.pool, organization, 100n, options)
  await changeLeasesWithWindows(database.pool, {
    epoch,
    processes: 1,
    returns: [],
    asks: [{ budget, lease, version: 0n, spare: nanoUsd(0n), appetite: nanoUsd(0n) }],
    needs: [{ budgets: [budget], amount: nanoUsd(50n) }],
  })
  const window = (await windowOf(database.pool, budget)).id
  return {
    budget,
    window,
    lease,
    async sweep() {
      await endEpoch(database.pool, epoch)
      await sweepLeases(database.pool)
    },
    request(held, cost) {
      const split = splitCost(nanoUsd(held), nanoUsd(cost))
      return { id: newRequestId(), cost: nanoUsd(cost), settlements: [{ window, lease, ...split }] }
    },
    figures: () => windowOf(database.pool, budget),
  }
}

const figures = (settled: bigint, leasedNano: bigint, unsettled: bigint, overage: bigint) => ({
  settled_nano: settled,
  leased_nano: leasedNano,
  unsettled_nano: unsettled,
  overage_nano: overage,
})

test('a record that is delivered twice settles once, also within one batch', async () => {
  const it = await leased()
  const request = it.request(10n, 7n)
  await recordRequests(database.pool, [request])
  await recordRequests(database.pool, [request, it.request(10n, 10n), request])
  expect(await it.figures()).toMatchObject(figures(17n, 33n, 0n, 0n))
  await auditWindows(database.pool)
})

test('what a hold does not cover is overage, and leaves the lease to the other holds', async () => {
  const it = await leased()
  await recordRequests(database.pool, [it.request(10n, 1_000_000n)])
  expect(await it.figures()).toMatchObject(figures(10n, 40n, 0n, 999_990n))
})

test('what a swept lease answers for replaces unsettled', async () => {
  const it = await leased()
  await it.sweep()
  expect(await it.figures()).toMatchObject(figures(0n, 0n, 50n, 0n))
  await recordRequests(database.pool, [it.request(30n, 20n)])
  expect(await it.figures()).toMatchObject(figures(20n, 0n, 30n, 0n))
  await recordRequests(database.pool, [it.request(40n, 40n)])
  expect(await it.figures()).toMatchObject(figures(50n, 0n, 0n, 10n))
  await auditWindows(database.pool)
})

test('what settles into a released lease is overage and fails no batch', async () => {
  const it = await leased()
  const other = await leased()
  await it.sweep()
  expect(await releaseLeases(database.pool, it.budget, 0)).toMatchObject([{ lease: it.lease, amount: 50n }])
  expect(await it.figures()).toMatchObject(figures(0n, 0n, 0n, 0n))
  await recordRequests(database.pool, [it.request(10n, 10n), other.request(10n, 5n)])
  expect(await it.figures()).toMatchObject(figures(0n, 0n, 0n, 10n))
  expect(await other.figures()).toMatchObject(figures(5n, 45n, 0n, 0n))
  await auditWindows(database.pool)
})

test('a lease that a promoted replica has lost settles as overage, and a window that it has lost fails no batch', async () => {
  const it = await leased()
  const settlement = { window: it.window, lease: newLeaseId(), within: nanoUsd(7n), beyond: nanoUsd(0n) }
  await recordRequests(database.pool, [
    { id: newRequestId(), cost: nanoUsd(7n), settlements: [settlement] },
    { id: newRequestId(), cost: nanoUsd(7n), settlements: [{ ...settlement, window: 999_999_999n }] },
  ])
  expect(await it.figures()).toMatchObject(figures(0n, 50n, 0n, 7n))
})

test('a lease is released only once the longest request is over', async () => {
  const it = await leased()
  await it.sweep()
  expect(await releaseLeases(database.pool, it.budget, 60_000)).toEqual([])
  expect(await it.figures()).toMatchObject(figures(0n, 0n, 50n, 0n))
})

test('an epoch that has beaten since it was looked at is not ended', async () => {
  const epoch = newEpochId()
  await beginEpoch(database.pool, epoch)
  expect(await endEpoch(database.pool, epoch, 7n)).toBe(false)
  expect(await endEpoch(database.pool, epoch, 0n)).toBe(true)
  expect(await endEpoch(database.pool, epoch, 0n)).toBe(false)
})

test('lowering a limit keeps what is out, and a raise sets the ceiling to the limit again', async () => {
  const it = await leased()
  const change = (limit: { to: ReturnType<typeof nanoUsd> } | { by: ReturnType<typeof nanoUsd> }) =>
    changeBudget(database.pool, { budget: it.budget, limit, at: new Date(0) })
  await recordRequests(database.pool, [it.request(10n, 10n)])
  expect(await change({ to: nanoUsd(20n) })).toMatchObject({
    kind: 'changed',
    revision: 2,
    limit: 20n,
    ceiling: 50n,
  })
  expect(await change({ by: nanoUsd(5n) })).toMatchObject({ revision: 3, limit: 25n, ceiling: 50n })
  expect(await change({ to: nanoUsd(80n) })).toMatchObject({ revision: 4, limit: 80n, ceiling: 80n })
  expect(await change({ by: nanoUsd(-100n) })).toMatchObject({ revision: 5, limit: 0n, ceiling: 50n })
})

test('a change that knows an older revision is refused', async () => {
  const { budget } = await leased()
  const change = () =>
    changeBudget(database.pool, { budget, limit: { to: nanoUsd(7n) }, revision: 1, at: new Date(0) })
  expect((await Promise.all([change(), change()])).map((result) => result.kind).sort()).toEqual([
    'changed',
    'conflict',
  ])
})

test('a limit that changes while its window is made is the limit of the window', async () => {
  for (let round = 0n; round < 20n; round++) {
    const budget = await addBudget(database.pool, organization, 100n)
    const epoch = newEpochId()
    await beginEpoch(database.pool, epoch)
    const take = () =>
      changeLeasesWithWindows(database.pool, {
        epoch,
        processes: 1,
        returns: [],
        asks: [{ budget, lease: newLeaseId(), version: 0n, spare: nanoUsd(0n), appetite: nanoUsd(0n) }],
        needs: [{ budgets: [budget], amount: nanoUsd(1n) }],
      })
    await Promise.all([
      take(),
      changeBudget(database.pool, { budget, limit: { to: nanoUsd(200n + round) }, at: new Date(0) }),
      take(),
    ])
    expect(await windowOf(database.pool, budget)).toMatchObject({ limit_nano: 200n + round, leased_nano: 2n })
  }
})

test('the crossing of a soft threshold is noted once, when it happens', async () => {
  const it = await leased({ thresholds: [5, 20, 60] })
  const crossed = async () =>
    (
      await database.pool.query<{ percent: number }>(
        'SELECT percent FROM budget_crossing WHERE window_id = $1 ORDER BY percent',
        [it.window],
      )
    ).rows.map((row) => row.percent)
  await recordRequests(database.pool, [it.request(10n, 4n)])
  expect(await crossed()).toEqual([])
  await recordRequests(database.pool, [it.request(10n, 1n)])
  expect(await crossed()).toEqual([5])
  await it.sweep()
  expect(await crossed()).toEqual([5, 20])
  await changeBudget(database.pool, { budget: it.budget, limit: { to: nanoUsd(60n) }, at: new Date(0) })
  expect(await crossed()).toEqual([5, 20, 60])
})

// The last one: the sums of its window are not those of its records.
test('costs out of all measure are overage up to the highest limit, and fail no batch', async () => {
  const it = await leased()
  const claims = Array.from({ length: 12 }, () => it.request(10n, 2n ** 80n))
  const records = claims.map((claim) => ({ ...claim, cost: mostLimit }))
  await recordRequests(database.pool, records.slice(0, 10))
  await recordRequests(database.pool, records.slice(10))
  expect(await it.figures()).toMatchObject(figures(50n, 0n, 0n, mostLimit))
})
