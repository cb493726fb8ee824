import { nanoUsd, type OrganizationId } from '@latchkey/shared'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { changeBudget } from '../../gateway/src/budget/change-budget.ts'
import type { LeaseChange } from '../../gateway/src/budget/change-leases.ts'
import { beginEpoch, endEpoch } from '../../gateway/src/budget/epoch.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addBudget,
  addOrganization,
  auditWindows,
  changeLeasesWithWindows,
  newEpochId,
  newLeaseId,
  windowOf,
  windowsOf,
} from './books.ts'

let database: TestDatabase
let organization: OrganizationId
const epoch = newEpochId()

beforeAll(async () => {
  database = await startTestDatabase()
  organization = await addOrganization(database.pool)
  await beginEpoch(database.pool, epoch)
})
afterAll(() => database.close())

const budgetOf = (limit: bigint, options = {}) => addBudget(database.pool, organization, limit, options)
const apply = (change: Partial<LeaseChange>) =>
  changeLeasesWithWindows(database.pool, { epoch, processes: 1, returns: [], asks: [], needs: [], ...change })

const ask = (
  budget: LeaseChange['asks'][number]['budget'],
  lease = newLeaseId(),
  version = 0n,
  spare = 0n,
  appetite = 0n,
) => ({
  budget,
  lease,
  version,
  spare: nanoUsd(spare),
  appetite: nanoUsd(appetite),
})
const need = (amount: bigint, ...budgets: LeaseChange['needs'][number]['budgets']) => ({
  budgets,
  amount: nanoUsd(amount),
})

test('a grant is made in all budgets of a need or in none', async () => {
  const [roomy, tight] = [await budgetOf(1_000n), await budgetOf(5n)]
  const result = await apply({
    asks: [ask(roomy), ask(tight)],
    needs: [need(6n, roomy, tight), need(5n, roomy, tight)],
  })
  expect(result).toMatchObject({ kind: 'done', standings: [{ row: null }, { row: null }] })
  const again = await apply({ asks: [ask(roomy), ask(tight)], needs: [need(5n, roomy, tight)] })
  expect(again).toMatchObject({
    kind: 'done',
    standings: [{ row: { granted: 5n } }, { row: { granted: 5n } }],
  })
  expect(await windowOf(database.pool, tight)).toMatchObject({ leased_nano: 5n, ceiling_nano: 5n })
})

test.each([
  { title: 'four times the need', limit: 10_000n, amount: 10n, processes: 1, appetite: 0n, granted: 40n },
  {
    title: 'at most 0.5 % of the limit',
    limit: 4_000n,
    amount: 10n,
    processes: 1,
    appetite: 0n,
    granted: 20n,
  },
  {
    title: 'the need where 0.5 % of the limit is less',
    limit: 1_000n,
    amount: 10n,
    processes: 1,
    appetite: 0n,
    granted: 10n,
  },
  {
    title: 'at most the free part by twice the processes',
    limit: 1_000_000n,
    amount: 3_000n,
    processes: 125,
    appetite: 0n,
    granted: 4_000n,
  },
  {
    title: 'its appetite where that is more',
    limit: 100_000n,
    amount: 10n,
    processes: 1,
    appetite: 400n,
    granted: 400n,
  },
  {
    title: 'all that is left where that is the need',
    limit: 10n,
    amount: 10n,
    processes: 9,
    appetite: 0n,
    granted: 10n,
  },
])('a new lease is $title', async ({ limit, amount, processes, appetite, granted }) => {
  const budget = await budgetOf(limit)
  const result = await apply({
    processes,
    asks: [ask(budget, undefined, 0n, 0n, appetite)],
    needs: [need(amount, budget)],
  })
  expect(result).toMatchObject({ kind: 'done', standings: [{ row: { granted, version: 1n } }] })
})

test('what a lease has to spare serves a need before anything is granted', async () => {
  const budget = await budgetOf(200n)
  const lease = newLeaseId()
  await apply({ asks: [ask(budget, lease)], needs: [need(100n, budget)] })
  const rest = await apply({ asks: [ask(budget, lease, 1n, 60n)], needs: [need(160n, budget)] })
  expect(rest).toMatchObject({ kind: 'done', standings: [{ row: { granted: 200n, version: 2n } }] })
})

test('needs are served in their order, and one that does not fit holds up those behind it', async () => {
  const budget = await budgetOf(100n)
  const result = await apply({
    asks: [ask(budget)],
    needs: [need(60n, budget), need(50n, budget), need(10n, budget)],
  })
  expect(result).toMatchObject({ kind: 'done', standings: [{ row: { granted: 60n } }] })
})

test('a statement whose reply was lost changes nothing when it is repeated, and tells what it did', async () => {
  const budget = await budgetOf(10_000n)
  const lease = newLeaseId()
  const grant = { asks: [ask(budget, lease)], needs: [need(10n, budget)] }
  await apply(grant)
  expect(await apply(grant)).toMatchObject({
    kind: 'stale',
    standings: [{ row: { granted: 40n, version: 1n } }],
  })
  const window = (await windowOf(database.pool, budget)).id
  const giveBack = {
    returns: [{ lease, window, version: 1n, amount: nanoUsd(15n), close: false, announced: false }],
  }
  await apply(giveBack)
  expect(await apply(giveBack)).toMatchObject({
    kind: 'stale',
    standings: [{ row: { granted: 25n, version: 2n } }],
  })
  expect(await windowOf(database.pool, budget)).toMatchObject({ leased_nano: 25n })
})

test('twins of one statement that run at once grant once', async () => {
  const budget = await budgetOf(100_000n)
  const lease = newLeaseId()
  await apply({ asks: [ask(budget, lease)], needs: [need(1n, budget)] })
  const grant = { asks: [ask(budget, lease, 1n), ask(await budgetOf(100_000n))], needs: [need(10n, budget)] }
  const fresh = await budgetOf(100_000n)
  const begin = { asks: [ask(fresh)], needs: [need(10n, fresh)] }
  const kinds = async (change: Partial<LeaseChange>) =>
    (await Promise.all(Array.from({ length: 8 }, () => apply(change)))).map((result) => result.kind).sort()
  const onceDone = ['done', ...Array.from({ length: 7 }, () => 'stale')]
  expect(await kinds(grant)).toEqual(onceDone)
  expect(await kinds(begin)).toEqual(onceDone)
  expect(await windowOf(database.pool, fresh)).toMatchObject({ leased_nano: 40n })
  await auditWindows(database.pool)
})

test('160 at once on a limit of 100: 100 are granted', async () => {
  const budget = await budgetOf(100n)
  const results = await Promise.all(
    Array.from({ length: 160 }, () =>
      apply({ processes: 100, asks: [ask(budget)], needs: [need(1n, budget)] }),
    ),
  )
  const granted = results.filter((result) => result.kind === 'done' && result.standings[0]?.row !== null)
  expect(granted).toHaveLength(100)
  expect(await windowOf(database.pool, budget)).toMatchObject({ leased_nano: 100n })
  await auditWindows(database.pool)
})

test('the first to need a window makes it, once for all', async () => {
  const budgets = await Promise.all(
    (['total', 'day', 'week', 'month'] as const).map((period) => budgetOf(100n, { period })),
  )
  await Promise.all(
    Array.from({ length: 9 }, () =>
      apply({ asks: budgets.map((budget) => ask(budget)), needs: [need(1n, ...budgets)] }),
    ),
  )
  const windows = await Promise.all(budgets.map((budget) => windowOf(database.pool, budget)))
  expect(windows.map((window) => window.leased_nano)).toEqual([9n, 9n, 9n, 9n])
  expect(windows[0]?.ends_at).toBeNull()
  expect(windows[1]?.starts_at.toISOString()).toMatch(/T00:00:00.000Z$/)
  expect(windows[2]?.starts_at.getUTCDay()).toBe(1)
  expect(windows[3]?.starts_at.getUTCDate()).toBe(1)
  expect(windows[3]?.ends_at?.getUTCDate()).toBe(1)
})

test('an epoch that has ended is granted nothing and returns nothing', async () => {
  const budget = await budgetOf(100n)
  const dead = newEpochId()
  const lease = newLeaseId()
  await beginEpoch(database.pool, dead)
  await apply({ epoch: dead, asks: [ask(budget, lease)], needs: [need(10n, budget)] })
  await endEpoch(database.pool, dead)
  const { id: window } = await windowOf(database.pool, budget)
  expect(await apply({ epoch: dead, asks: [ask(budget)], needs: [need(10n, budget)] })).toEqual({
    kind: 'fenced',
  })
  expect(
    await apply({
      epoch: dead,
      returns: [{ lease, window, version: 1n, amount: nanoUsd(1n), close: false, announced: false }],
    }),
  ).toEqual({ kind: 'fenced' })
  expect(await windowOf(database.pool, budget)).toMatchObject({ leased_nano: 10n })
})

test('an epoch ends only after the grants that had begun before it, and none begins after it', async () => {
  const budget = await budgetOf(1_000_000n)
  const dying = newEpochId()
  await beginEpoch(database.pool, dying)
  const grants = Array.from({ length: 40 }, () =>
    apply({ epoch: dying, asks: [ask(budget)], needs: [need(1n, budget)] }),
  )
  await endEpoch(database.pool, dying)
  const { leased_nano: atTheEnd } = (await windowsOf(database.pool, budget))[0] ?? { leased_nano: 0n }
  await Promise.all(grants)
  expect((await windowsOf(database.pool, budget))[0]?.leased_nano ?? 0n).toBe(atTheEnd)
})

test('money of a lease that a process does not own is out of its reach', async () => {
  const budget = await budgetOf(100n)
  const other = newEpochId()
  const lease = newLeaseId()
  await beginEpoch(database.pool, other)
  await apply({ asks: [ask(budget, lease)], needs: [need(10n, budget)] })
  expect(
    await apply({ epoch: other, asks: [ask(budget, lease, 1n)], needs: [need(10n, budget)] }),
  ).toMatchObject({ kind: 'stale' })
})

test('a paused budget grants nothing', async () => {
  const budget = await budgetOf(100n)
  await changeBudget(database.pool, { budget, status: 'paused', at: new Date(0) })
  const paused = await apply({ asks: [ask(budget)], needs: [need(1n, budget)] })
  expect(paused).toMatchObject({ kind: 'done', standings: [{ row: null, window: { paused: true } }] })
  await changeBudget(database.pool, { budget, status: 'active', at: new Date(0) })
  const resumed = await apply({ asks: [ask(budget)], needs: [need(1n, budget)] })
  expect(resumed).toMatchObject({ kind: 'done', standings: [{ row: { granted: 1n } }] })
})

test('a lease ends when it is closed with nothing outstanding, and not before', async () => {
  const budget = await budgetOf(1_000_000n)
  const lease = newLeaseId()
  await apply({ asks: [ask(budget, lease)], needs: [need(10n, budget)] })
  const { id: window } = await windowOf(database.pool, budget)
  const close = (version: bigint, amount: bigint) =>
    apply({ returns: [{ lease, window, version, amount: nanoUsd(amount), close: true, announced: false }] })
  expect(await close(1n, 30n)).toMatchObject({
    kind: 'done',
    standings: [{ row: { state: 'open', outstanding: 10n } }],
  })
  expect(await close(2n, 10n)).toMatchObject({
    kind: 'done',
    standings: [{ row: { state: 'returned', outstanding: 0n } }],
  })
  expect(await close(3n, 0n)).toMatchObject({ kind: 'stale', standings: [{ row: { state: 'returned' } }] })
})
