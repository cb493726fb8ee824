import { type BudgetId, type EpochId, type LeaseId, nanoUsd } from '@latchkey/shared'
import { expect, onTestFinished, test, vi } from 'vitest'
import { beginEpoch, endEpoch } from '../../gateway/src/budget/epoch.ts'
import { sweepLeases } from '../../gateway/src/budget/sweep.ts'
import {
  changeLeasesWithWindows,
  newEpochId,
  newLeaseId,
  newRequestId,
  recordRequests,
  windowOf,
} from '../budget/books.ts'
import { bestOfThree } from '../support/best-of.ts'
import { type AdminServer, startAdminServer } from './admin-server.ts'

interface Started extends AdminServer {
  /** A proxy key named alice, and its token. */
  readonly keyId: string
  readonly key: string
  /** Makes a budget and gives its id. */
  budget(body?: Readonly<Record<string, unknown>>): Promise<BudgetId>
}

async function start(): Promise<Started> {
  const server = await startAdminServer()
  await server.ask('POST', '/api/provider-keys', { body: { name: 'main', provider: 'simulator' } })
  await server.ask('POST', '/api/groups', { body: { name: 'hack' } })
  const created = await server.ask('POST', '/api/keys', {
    body: { name: 'alice', providerKeys: ['main'], group: 'hack' },
  })
  const { id, key } = Object(created.body)
  return {
    ...server,
    keyId: id,
    key,
    async budget(body = {}) {
      const made = await server.ask('POST', '/api/budgets', {
        body: { scope: 'key', scopeId: 'alice', limitUsd: '1', ...body },
      })
      expect(made.status, made.text).toBe(201)
      return Object(made.body).id
    },
  }
}

/** Leases exactly so many nano-dollars of a budget: among so many processes, nobody gets more than they need. */
async function lease(
  { database }: AdminServer,
  budget: BudgetId,
  amount: bigint,
): Promise<{ readonly epoch: EpochId; readonly lease: LeaseId; readonly window: bigint }> {
  const [epoch, lease] = [newEpochId(), newLeaseId()]
  await beginEpoch(database.pool, epoch)
  await changeLeasesWithWindows(database.pool, {
    epoch,
    processes: 500_000_000,
    returns: [],
    asks: [{ budget, lease, version: 0n, spare: nanoUsd(0n), appetite: nanoUsd(0n) }],
    needs: [{ budgets: [budget], amount: nanoUsd(amount) }],
  })
  return { epoch, lease, window: (await windowOf(database.pool, budget)).id }
}

async function budgetsOf({ vault, key }: Started): Promise<readonly BudgetId[]> {
  const verified = await vault.verifier.verify(key)
  if (verified.kind !== 'verified') throw new Error(verified.kind)
  const { principal } = verified
  return [...principal.budgets, ...principal.providerKeys.flatMap((each) => each.budgets)]
}

test.each([
  ['key', 'alice', 'alice'],
  ['group', 'hack', 'hack'],
  ['provider_key', 'main', 'main'],
  ['organization', undefined, 'default'],
  ['organization', 'default', 'default'],
])(
  'a budget of a %s can be made by its name (%s), and binds the key in use when it is answered',
  async (scope, scopeId, name) => {
    const server = await start()
    expect(await budgetsOf(server)).toEqual([])
    const made = await server.ask('POST', '/api/budgets', {
      body: { scope, scopeId, period: 'month', limitUsd: '4.50' },
    })
    expect(made).toMatchObject({ status: 201, body: { scope: { kind: scope, name }, limitUsd: '4.5' } })
    const { id, scope: made_scope } = Object(made.body)
    expect(await budgetsOf(server)).toEqual([id])
    const byId = { scope, scopeId: made_scope.id, period: 'day', limitUsd: '1' }
    expect(await server.ask('POST', '/api/budgets', { body: byId })).toMatchObject({
      status: 201,
      body: { scope: made_scope },
    })
  },
)

test('a new budget binds in another process within two seconds, and a removed one frees', async () => {
  const server = await start()
  const other = { ...server, vault: await server.open() }
  expect(await budgetsOf(other)).toEqual([])
  const takes = async (expected: readonly BudgetId[]) => {
    const began = performance.now()
    await vi.waitFor(async () => expect(await budgetsOf(other)).toEqual(expected), {
      interval: 20,
      timeout: 10_000,
    })
    return performance.now() - began
  }
  const took = await bestOfThree(2_500, async () => {
    const id = await server.budget()
    const binding = await takes([id])
    await server.ask('DELETE', `/api/budgets/${id}?confirm=true`)
    return Math.max(binding, await takes([]))
  })
  expect(took).toBeLessThan(2_500)
})

test('a budget has every figure of its present window', async () => {
  const server = await start()
  const { ask, budget, database, keyId } = server
  const id = await budget({ period: 'day', limitUsd: '0.000001', thresholds: [90, 50, 30] })
  const untouched = {
    id,
    scope: { kind: 'key', id: keyId, name: 'alice' },
    period: 'day',
    status: 'active',
    limitUsd: '0.000001',
    spentUsd: '0',
    heldUsd: '0',
    remainingUsd: '0.000001',
    unsettledUsd: '0',
    overageUsd: '0',
    thresholds: [30, 50, 90],
    crossed: [],
    revision: 1,
  }
  expect((await ask('GET', `/api/budgets/${id}`)).body).toMatchObject(untouched)

  const dead = await lease(server, id, 100n)
  await endEpoch(database.pool, dead.epoch)
  await sweepLeases(database.pool)
  const alive = await lease(server, id, 300n)
  const split = { within: nanoUsd(250n), beyond: nanoUsd(7n) }
  const cost = nanoUsd(257n)
  await recordRequests(database.pool, [{ id: newRequestId(), cost, settlements: [{ ...alive, ...split }] }])

  const shown = Object((await ask('GET', `/api/budgets/${id}`)).body)
  expect(shown).toMatchObject({
    ...untouched,
    spentUsd: '0.000000357',
    heldUsd: '0.00000005',
    remainingUsd: '0.000000593',
    unsettledUsd: '0.0000001',
    overageUsd: '0.000000007',
    crossed: [{ percent: 30, at: expect.stringMatching(/^\d{4}-.*Z$/) }],
  })
  expect(Date.parse(shown.resetsAt) - Date.parse(shown.windowStart)).toBe(86_400_000)
  expect(Math.abs(Date.parse(shown.crossed[0].at) - Date.now())).toBeLessThan(60_000)
})

test('what was spent before today is not in the figures of a day', async () => {
  const { ask, budget, database } = await start()
  const id = await budget({ period: 'day' })
  await database.pool.query(
    `INSERT INTO budget_window (budget_id, starts_at, ends_at, limit_nano, ceiling_nano, paused, settled_nano)
     SELECT $1, date_trunc('day', now(), 'UTC') - interval '1 day', date_trunc('day', now(), 'UTC'), 9, 9, false, 9`,
    [id],
  )
  expect((await ask('GET', `/api/budgets/${id}`)).body).toMatchObject({ spentUsd: '0', remainingUsd: '1' })
})

test('a limit is set, raised and lowered, in the window of now as well, and never below zero', async () => {
  const server = await start()
  const { ask, budget, database } = server
  const id = await budget({ limitUsd: '2' })
  await lease(server, id, 1_500_000_000n)
  const steps = [
    [{ limitUsd: '3' }, '3', '1.5'],
    [{ addUsd: '0.25' }, '3.25', '1.75'],
    [{ addUsd: '-2' }, '1.25', '0'],
    [{ addUsd: '-2' }, '0', '0'],
  ] as const
  for (const [change, limitUsd, remainingUsd] of steps) {
    const changed = await ask('PATCH', `/api/budgets/${id}`, { body: change })
    expect
      .soft(changed, JSON.stringify(change))
      .toMatchObject({ status: 200, body: { limitUsd, remainingUsd } })
  }
  expect(await windowOf(database.pool, id)).toMatchObject({ limit_nano: 0n, ceiling_nano: 1_500_000_000n })
})

test('a change at a revision is made once', async () => {
  const { ask, budget } = await start()
  const id = await budget({ limitUsd: '2' })
  const body = { addUsd: '1', revision: 1 }
  expect(await ask('PATCH', `/api/budgets/${id}`, { body })).toMatchObject({
    body: { limitUsd: '3', revision: 2 },
  })
  expect(await ask('PATCH', `/api/budgets/${id}`, { body })).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict' } },
  })
  expect((await ask('GET', `/api/budgets/${id}`)).body).toMatchObject({ limitUsd: '3' })
})

test('a budget is paused and resumed, and its thresholds change', async () => {
  const { ask, budget, database } = await start()
  const id = await budget()
  const paused = await ask('PATCH', `/api/budgets/${id}`, {
    body: { status: 'paused', thresholds: [75, 25] },
  })
  expect(paused.body).toMatchObject({ status: 'paused', thresholds: [25, 75], limitUsd: '1' })
  expect(await windowOf(database.pool, id)).toMatchObject({ paused: true })
  await ask('PATCH', `/api/budgets/${id}`, { body: { status: 'active' } })
  expect(await windowOf(database.pool, id)).toMatchObject({ paused: false })
})

test('a removed budget is gone wherever it was, and comes back with what it had counted', async () => {
  const server = await start()
  const { ask, budget, database } = server
  const id = await budget({ limitUsd: '2' })
  const { epoch, ...leased } = await lease(server, id, 500n)
  expect(await ask('DELETE', `/api/budgets/${id}`)).toMatchObject({
    status: 400,
    body: { error: { param: 'confirm' } },
  })
  expect(await ask('DELETE', `/api/budgets/${id}?confirm=true`)).toMatchObject({ status: 200, body: { id } })
  expect(await budgetsOf(server)).toEqual([])
  for (const [method, path, body] of [
    ['GET', `/api/budgets/${id}`, undefined],
    ['PATCH', `/api/budgets/${id}`, { limitUsd: '3' }],
    ['POST', `/api/budgets/${id}/release`, {}],
    ['DELETE', `/api/budgets/${id}?confirm=true`, undefined],
  ] as const)
    expect.soft((await ask(method, path, { body })).status, `${method} ${path}`).toBe(404)
  expect((await ask('GET', '/api/budgets')).body).toMatchObject({ data: [] })
  expect((await ask('GET', `/api/keys/${server.keyId}`)).body).toMatchObject({ budgets: [] })

  // What was in flight settles all the same.
  const cost = nanoUsd(400n)
  await recordRequests(database.pool, [
    { id: newRequestId(), cost, settlements: [{ ...leased, within: cost, beyond: nanoUsd(0n) }] },
  ])
  await endEpoch(database.pool, epoch)
  expect(await budget({ limitUsd: '5', thresholds: [10] })).toBe(id)
  expect((await ask('GET', `/api/budgets/${id}`)).body).toMatchObject({
    status: 'active',
    limitUsd: '5',
    spentUsd: '0.0000004',
    thresholds: [10],
  })
  expect(await windowOf(database.pool, id)).toMatchObject({ limit_nano: 5_000_000_000n, paused: false })
  expect(await budgetsOf(server)).toEqual([id])
})

test("setting a key's budget brings back the one that was removed, and does not resume one that is paused", async () => {
  const server = await start()
  const { ask, budget, keyId } = server
  const id = await budget()
  const set = async (limitUsd: string) =>
    Object((await ask('PATCH', `/api/keys/${keyId}`, { body: { budgets: [{ limitUsd }] } })).body).budgets
  await ask('DELETE', `/api/budgets/${id}?confirm=true`)
  expect(await set('7')).toMatchObject([{ id, limitUsd: '7', status: 'active' }])
  await ask('PATCH', `/api/budgets/${id}`, { body: { status: 'paused' } })
  expect(await set('8')).toMatchObject([{ id, limitUsd: '8', status: 'paused' }])
  expect(await budgetsOf(server)).toEqual([id])
})

test('what dead processes left behind is released once the longest request has timed out', async () => {
  const server = await start()
  const { ask, budget, database } = server
  const id = await budget()
  const nothing = { releasedUsd: '0', leases: 0, waitingUsd: '0', releasableAt: null, budget: { id } }
  expect(await ask('POST', `/api/budgets/${id}/release`, { body: {} })).toMatchObject({
    status: 200,
    body: nothing,
  })

  const early = await lease(server, id, 500n)
  await endEpoch(database.pool, early.epoch)
  await sweepLeases(database.pool)
  await database.pool.query("UPDATE lease SET swept_at = swept_at - interval '61 minutes'")
  const late = await lease(server, id, 300n)
  await endEpoch(database.pool, late.epoch)
  await sweepLeases(database.pool)
  expect((await ask('GET', `/api/budgets/${id}`)).body).toMatchObject({ unsettledUsd: '0.0000008' })

  const released = Object((await ask('POST', `/api/budgets/${id}/release`)).body)
  expect(released).toMatchObject({
    releasedUsd: '0.0000005',
    leases: 1,
    waitingUsd: '0.0000003',
    budget: { spentUsd: '0.0000003', unsettledUsd: '0.0000003', remainingUsd: '0.9999997' },
  })
  const wait = Date.parse(released.releasableAt) - Date.now()
  expect(wait).toBeGreaterThan(3_500_000)
  expect(wait).toBeLessThan(3_700_000)
})

test('pages put together are the list, and a scope picks its own', async () => {
  const { ask, budget } = await start()
  const made = [
    await budget(),
    await budget({ period: 'day' }),
    await budget({ scope: 'group', scopeId: 'hack' }),
    await budget({ scope: 'organization', scopeId: undefined }),
  ]
  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await ask('GET', `/api/budgets?limit=3${cursor}`)
    const { data, nextCursor } = Object(body)
    seen.push(...data.map((each: { id: string }) => each.id))
    cursor = nextCursor === null ? '' : `&cursor=${nextCursor}`
  } while (cursor !== '')
  expect(seen).toEqual(made.toSorted())
  const ids = async (query: string) =>
    Object((await ask('GET', `/api/budgets?${query}`)).body).data.map((each: { id: string }) => each.id)
  expect(await ids('scope=key')).toEqual(made.slice(0, 2).toSorted())
  expect(await ids('scope=group&scopeId=hack')).toEqual([made[2]])
  expect(await ids('scope=provider_key')).toEqual([])
})

test('the same budget is not made twice, nor one that nobody could mean', async () => {
  const { ask, budget, database } = await start()
  await ask('POST', '/api/keys', { body: { name: 'twin', providerKeys: ['main'] } })
  await ask('POST', '/api/keys', { body: { name: 'twin', providerKeys: ['main'] } })
  await budget({ period: 'week' })
  const bad = [
    [{ period: 'week' }, 409, 'period'],
    [{ scope: 'team' }, 400, 'scope'],
    [{ scopeId: 'bob' }, 400, 'scopeId'],
    [{ scopeId: 'twin' }, 400, 'scopeId'],
    [{ scopeId: undefined }, 400, 'scopeId'],
    [{ scope: 'group', scopeId: '00000000-0000-7000-8000-000000000000' }, 400, 'scopeId'],
    [{ scope: 'organization', scopeId: 'other' }, 400, 'scopeId'],
    [{ period: 'year' }, 400, 'period'],
    [{ limitUsd: '-1' }, 400, 'limitUsd'],
    [{ limitUsd: '1e3' }, 400, 'limitUsd'],
    [{ limitUsd: 1 }, 400, 'limitUsd'],
    [{ limitUsd: '0.0000000001' }, 400, 'limitUsd'],
    [{ thresholds: [0] }, 400, 'thresholds[0]'],
    [{ thresholds: [50, 50] }, 400, 'thresholds'],
    [{ limit: '1' }, 400, 'limit'],
  ] as const
  for (const [change, status, param] of bad) {
    const body = { scope: 'key', scopeId: 'alice', limitUsd: '1', ...change }
    const answer = await ask('POST', '/api/budgets', { body })
    expect.soft(answer, JSON.stringify(change)).toMatchObject({ status, body: { error: { param } } })
  }
  expect((await database.pool.query('SELECT 1 FROM budget')).rowCount).toBe(1)
})

test('a change that can not be made changes nothing, and names the field', async () => {
  const { ask, budget } = await start()
  const id = await budget({ limitUsd: '999999999' })
  const bad = [
    [{ limitUsd: '1', addUsd: '1' }, 400, 'addUsd'],
    [{ addUsd: '1' }, 400, 'addUsd'],
    [{ addUsd: '--1' }, 400, 'addUsd'],
    [{ status: 'removed' }, 400, 'status'],
    [{ period: 'day' }, 400, 'period'],
    [{ limitUsd: '1', revision: 9 }, 409, null],
  ] as const
  for (const [body, status, param] of bad) {
    const answer = await ask('PATCH', `/api/budgets/${id}`, { body })
    expect.soft(answer, JSON.stringify(body)).toMatchObject({ status, body: { error: { param } } })
  }
  expect((await ask('GET', `/api/budgets/${id}`)).body).toMatchObject({ limitUsd: '999999999', revision: 1 })
})

test.each(['00000000-0000-7000-8000-000000000000', 'short', '..'])(
  'a budget that is not there is 404: %s',
  async (id) => {
    const { ask } = await startAdminServer()
    expect((await ask('GET', `/api/budgets/${id}`)).status).toBe(404)
    expect((await ask('PATCH', `/api/budgets/${id}`, { body: {} })).status).toBe(404)
  },
)

test('changes while the budget is being leased and settled meet no error', async () => {
  const server = await start()
  const { ask, budget, database, keyId } = server
  const id = await budget({ limitUsd: '9' })
  let running = true
  onTestFinished(() => {
    running = false
  })
  const spending = (async () => {
    while (running) {
      const { epoch, ...leased } = await lease(server, id, 10n)
      const cost = nanoUsd(10n)
      await recordRequests(database.pool, [
        { id: newRequestId(), cost, settlements: [{ ...leased, within: cost, beyond: nanoUsd(0n) }] },
      ])
      await endEpoch(database.pool, epoch)
    }
  })()
  for (let round = 0; round < 20; round++) {
    const [patched, set] = await Promise.all([
      ask('PATCH', `/api/budgets/${id}`, { body: { addUsd: '0.1' } }),
      ask('PATCH', `/api/keys/${keyId}`, {
        body: { budgets: [{ limitUsd: '9' }, { limitUsd: '1', period: 'day' }] },
      }),
    ])
    expect([patched.status, set.status]).toEqual([200, 200])
  }
  running = false
  await spending
})
