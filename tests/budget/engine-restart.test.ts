import { createLog, nanoUsd, systemClock } from '@latchkey/shared'
import { connectDatabase, migrate, migrations } from '@latchkey/shared/database'
import { expect, test } from 'vitest'
import { openEmbedded } from '../support/embedded.ts'
import { recordLog } from '../support/recorded-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import {
  addBudget,
  addOrganization,
  auditWindows,
  type RecordedRequest,
  recordRequests,
  windowOf,
} from './books.ts'
import { recordOf, soon, startEngine } from './engines.ts'

test('a Postgres that is killed under load and starts again costs no money, and nobody alive is swept', async () => {
  const log = recordLog()
  const embedded = await openEmbedded(temporaryDirectory(), log)
  const database = connectDatabase({
    connection: embedded.connection,
    maxConnections: 4,
    statementTimeoutMs: 5_000,
    applicationName: 'latchkey-tests',
    log: createLog('silent'),
  })
  await migrate(database.pool, migrations, { clock: systemClock, log })
  const organization = await addOrganization(database.pool)
  const budget = await addBudget(database.pool, organization, 1_000_000n)
  const engines = [await startEngine(embedded.connection), await startEngine(embedded.connection)]

  let running = true
  const records: RecordedRequest[] = []
  const refusals = new Set<string>()
  const lanes = engines.map(async ({ engine }) => {
    while (running) {
      const decision = await engine.hold([budget], nanoUsd(300n))
      await new Promise(setImmediate)
      if (decision.kind === 'held') records.push(recordOf(engine.settle(decision.hold, nanoUsd(3n)), 3n))
      else refusals.add(decision.kind)
    }
  })
  await expect.poll(() => records.length, soon).toBeGreaterThan(100)
  const restarted = log.next('postgres.started')
  process.kill(embedded.postgres.pid, 'SIGKILL')
  await restarted
  const before = records.length
  await expect.poll(() => records.length, soon).toBeGreaterThan(before + 100)
  running = false
  await Promise.all(lanes)

  // The batch writer tries until it succeeds; so does this.
  await expect
    .poll(() =>
      recordRequests(database.pool, records).then(
        () => true,
        () => false,
      ),
    )
    .toBe(true)
  for (const { close } of engines) await close()
  expect([...refusals].filter((kind) => kind !== 'unavailable')).toEqual([])
  expect(await windowOf(database.pool, budget)).toMatchObject({
    settled_nano: BigInt(records.length) * 3n,
    leased_nano: 0n,
    unsettled_nano: 0n,
    overage_nano: 0n,
  })
  await auditWindows(database.pool)
  await database.close()
})
