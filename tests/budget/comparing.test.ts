import { type BudgetId, type LeaseId, nanoUsd, type OrganizationId } from '@latchkey/shared'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { leasesPerPage, readLeases } from '../../gateway/src/budget/read-leases.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { severableSocket } from '../support/severable-socket.ts'
import { addBudget, addOrganization } from './books.ts'
import { expectHold, soon, startEngine, type TestEngine } from './engines.ts'

/** More than one page. */
const many = leasesPerPage + 200

let database: TestDatabase
let organization: OrganizationId

beforeEach(async () => {
  database = await startTestDatabase()
  onTestFinished(() => database.close())
  organization = await addOrganization(database.pool)
})

/** An engine that has a lease of each of so many budgets. */
async function startLeased(count: number, connection = database.connection, times = {}): Promise<TestEngine> {
  const budgets: BudgetId[] = []
  while (budgets.length < count) budgets.push(await addBudget(database.pool, organization, 1_000n))
  const started = await startEngine(connection, { times })
  const { engine } = started
  const decisions = await Promise.all(budgets.map((budget) => engine.hold([budget], nanoUsd(10n))))
  for (const decision of decisions) engine.giveBack(expectHold(decision))
  expect(engine.leased.count).toBe(count)
  return started
}

async function leasesInOrder(): Promise<readonly LeaseId[]> {
  const { rows } = await database.pool.query<{ id: LeaseId }>('SELECT id FROM lease ORDER BY id')
  return rows.map(({ id }) => id)
}

/** As nothing of ours does it: the process is not asked, and not told. */
async function endBehindItsBack(...leases: readonly (LeaseId | undefined)[]): Promise<void> {
  await database.pool.query(
    `WITH ended AS (UPDATE lease SET state = 'returned', outstanding_nano = 0 WHERE id = ANY($1) RETURNING window_id)
     UPDATE budget_window SET leased_nano = 0, revision = revision + 1 WHERE id IN (SELECT window_id FROM ended)`,
    [leases],
  )
}

test('open leases are read page by page, each of them once', async () => {
  const { engine } = await startLeased(9)
  const ids = await leasesInOrder()
  await endBehindItsBack(ids[3])
  const read: LeaseId[][] = []
  let after: LeaseId | null = null
  do {
    const { standings, last } = await readLeases(database.pool, engine.epoch, after, 4)
    read.push(standings.map(({ lease }) => lease))
    after = last
  } while (after !== null)
  const open = ids.filter((id) => id !== ids[3])
  // Nobody knows of a full page that it is the last.
  expect(read).toEqual([open.slice(0, 4), open.slice(4), []])
})

test('a heartbeat compares all leases, however many pages they are', async () => {
  // The one beat that comes is that of a connection that was lost.
  const socket = await severableSocket(database.connection)
  onTestFinished(() => socket.close())
  const { engine } = await startLeased(many, socket.connection, { beatEvery: 600_000 })
  const ids = await leasesInOrder()
  await endBehindItsBack(ids.at(0), ids[leasesPerPage - 1], ids[leasesPerPage], ids.at(-1))
  await socket.cut()
  await socket.mend()
  await expect.poll(() => engine.leased.count, soon).toBe(many - 4)
})
