import {
  type EpochId,
  type LeaseId,
  nanoUsd,
  type OrganizationId,
  systemRandom,
  uuidv7,
} from '@latchkey/shared'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { beginEpoch, endEpoch } from '../../gateway/src/budget/epoch.ts'
import { purge } from '../../gateway/src/budget/purge.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { addBudget, addOrganization, auditWindows, changeLeasesWithWindows, newBudgetId } from './books.ts'
import { soon, startEngine } from './engines.ts'

const hourMs = 3_600_000
let database: TestDatabase
let organization: OrganizationId

beforeAll(async () => {
  database = await startTestDatabase()
  organization = await addOrganization(database.pool)
})
afterAll(() => database.close())

/** An id that was minted so many hours ago. */
function mintedAgo<Id extends EpochId | LeaseId>(hours: number): Id {
  const clock = { now: () => Date.now() - hours * hourMs, monotonic: () => 0 }
  return uuidv7<Id>(clock, systemRandom)
}

interface Old {
  readonly epoch: EpochId
  readonly lease: LeaseId
}

/** A lease of that age in a state, with so much outstanding, of an epoch that ended at that age unless it lives. */
async function old(
  hours: number,
  state: 'open' | 'returned' | 'swept' | 'released',
  outstanding: number,
  alive = false,
): Promise<Old> {
  const epoch = mintedAgo<EpochId>(hours)
  const lease = mintedAgo<LeaseId>(hours)
  const budget = await addBudget(database.pool, organization, 100n)
  await beginEpoch(database.pool, epoch)
  await changeLeasesWithWindows(database.pool, {
    epoch,
    processes: 1,
    returns: [],
    asks: [{ budget, lease, version: 0n, spare: nanoUsd(0n), appetite: nanoUsd(0n) }],
    needs: [{ budgets: [budget], amount: nanoUsd(10n) }],
  })
  if (!alive) await endEpoch(database.pool, epoch)
  const at = new Date(Date.now() - hours * hourMs)
  await database.pool.query('UPDATE process_epoch SET ended_at = $2 WHERE id = $1 AND ended_at IS NOT NULL', [
    epoch,
    at,
  ])
  const sweptAt = state === 'swept' || state === 'released' ? at : null
  await database.pool.query(
    'UPDATE lease SET state = $2, outstanding_nano = $3, swept_at = $4 WHERE id = $1',
    [lease, state, outstanding, sweptAt],
  )
  await database.pool.query(
    'UPDATE budget_window SET leased_nano = $2, unsettled_nano = $3 WHERE budget_id = $1',
    [budget, state === 'open' ? outstanding : 0, state === 'swept' ? outstanding : 0],
  )
  return { epoch, lease }
}

async function left({ epoch, lease }: Old): Promise<readonly [epoch: boolean, lease: boolean]> {
  const count = async (table: 'process_epoch' | 'lease', id: string) =>
    (await database.pool.query(`SELECT 1 FROM ${table} WHERE id = $1`, [id])).rowCount === 1
  return [await count('process_epoch', epoch), await count('lease', lease)]
}

test('what is over for more than a day is deleted, and with its leases the epoch', async () => {
  const over = [await old(25, 'returned', 0), await old(25, 'released', 0), await old(25, 'swept', 0)]
  await purge(database.pool)
  for (const each of over) expect(await left(each)).toEqual([false, false])
})

test('what is open or unsettled stays, however old it is, and what is over stays for a day', async () => {
  const kept = [
    await old(2000, 'swept', 7),
    await old(2000, 'open', 7),
    await old(2000, 'open', 0, true),
    await old(23, 'returned', 0),
    await old(23, 'released', 0),
  ]
  await purge(database.pool)
  for (const each of kept) expect(await left(each)).toEqual([true, true])
  await auditWindows(database.pool)
})

test('a returned lease goes while its process lives on', async () => {
  const returned = await old(25, 'returned', 0, true)
  await purge(database.pool)
  expect(await left(returned)).toEqual([true, false])
})

test('it waits for nobody: not for a window that is locked, nor for a lease', async () => {
  const [first, second] = [await old(25, 'returned', 0), await old(25, 'returned', 0)]
  const client = await database.pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT 1 FROM budget_window FOR UPDATE')
    await client.query('SELECT 1 FROM lease WHERE id = $1 FOR UPDATE', [first.lease])
    const { leases } = await purge(database.pool)
    expect(leases).toEqual([second.lease])
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
  expect((await purge(database.pool)).leases).toEqual([first.lease])
})

test('a call deletes at most 500 leases', async () => {
  const { epoch, lease } = await old(25, 'returned', 0)
  await database.pool.query(
    `INSERT INTO lease SELECT ($2 || lpad(n::text, 8, '0'))::uuid, epoch_id, window_id, 0, 0, 1, 'returned', NULL
     FROM lease, generate_series(1, 600) AS n WHERE id = $1`,
    [lease, lease.slice(0, -8)],
  )
  expect((await purge(database.pool)).leases.length).toBe(500)
  const { leases, epochs } = await purge(database.pool)
  expect([leases.length, epochs]).toEqual([101, [epoch]])
})

test('an engine that runs clears away what is over', async () => {
  const over = await old(25, 'returned', 0)
  const { engine, close } = await startEngine(database.connection)
  await expect.poll(() => left(over), soon).toEqual([false, false])
  expect(engine.remaining([newBudgetId()])).toBeNull()
  await close()
})
