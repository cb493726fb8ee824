// What a hold and its settling cost in memory, over three budgets. `npm run prove-budget-hold`
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, lockDataDirectory, nanoUsd, systemClock, systemRandom } from '@latchkey/shared'
import { connectDatabase, migrate, migrations, startEmbeddedPostgres } from '@latchkey/shared/database'
import { BudgetEngine } from '../../gateway/src/budget/engine.ts'
import { addBudget, addOrganization } from '../budget/books.ts'

const rounds = 200_000
const mostMicroseconds = 15

const directory = mkdtempSync(join(tmpdir(), 'latchkey-proof-'))
const log = createLog('error')
const lock = lockDataDirectory(directory)
const postgres = await startEmbeddedPostgres({ lock, clock: systemClock, log })
const connect = (maxConnections: number) =>
  connectDatabase({
    connection: postgres.connection,
    maxConnections,
    statementTimeoutMs: 10_000,
    applicationName: 'latchkey-proof',
    log,
  })
const [main, beats] = [connect(4), connect(1)]
const engine = new BudgetEngine({
  pool: main.pool,
  heartbeatPool: beats.pool,
  clock: systemClock,
  random: systemRandom,
  log,
  alone: true,
})
try {
  await migrate(main.pool, migrations, { clock: systemClock, log: createLog('silent') })
  const organization = await addOrganization(main.pool)
  const limit = 1_000_000_000_000_000n
  const budgets = await Promise.all([1, 2, 3].map(() => addBudget(main.pool, organization, limit)))
  await engine.start()
  const [bound, cost] = [nanoUsd(30_000n), nanoUsd(9_000n)]
  const started = performance.now()
  for (let round = 0; round < rounds; round++) {
    const decision = engine.hold(budgets, bound)
    const decided = decision instanceof Promise ? await decision : decision
    if (decided.kind !== 'held') throw new Error(decided.kind)
    engine.settle(decided.hold, cost)
  }
  const microseconds = ((performance.now() - started) * 1000) / rounds
  process.stdout.write(
    `hold and settle over three budgets: ${microseconds.toFixed(2)} µs; ${engine.statements} statements for ${rounds} requests\n`,
  )
  process.exitCode = microseconds <= mostMicroseconds ? 0 : 1
} finally {
  await engine.close(systemClock.monotonic() + 2_000)
  await Promise.all([main.close(), beats.close()])
  await postgres.stop()
  rmSync(directory, { recursive: true, force: true })
  lock.release()
}
