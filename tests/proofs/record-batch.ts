// How long writing 500 records holds up the event loop. `npm run prove-records`
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BudgetId, createLog, nanoUsd, systemClock, systemRandom } from '@latchkey/shared'
import { migrate, migrations } from '@latchkey/shared/database'
import { BudgetEngine } from '../../gateway/src/budget/engine.ts'
import { readConfig } from '../../gateway/src/config.ts'
import { insertRows } from '../../gateway/src/records/batch-insert.ts'
import { LastUses } from '../../gateway/src/records/last-uses.ts'
import { type RecordRow, rowOf } from '../../gateway/src/records/record-row.ts'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'
import { embeddedStorage } from '../../gateway/src/runtime/embedded.ts'
import { openPrivateDatabase } from '../../gateway/src/runtime/private-database.ts'
import { addBudget, addOrganization } from '../budget/books.ts'
import { typicalRecord } from '../records/record.ts'

const rows = 500
const rounds = 60
const mostMs = 5

/** A record that settles into three budgets, as that of a key with a group in an organization does. */
async function record(): Promise<RequestRecord> {
  return typicalRecord({
    cost: nanoUsd(140_500n),
    held: nanoUsd(800_000n),
    settlements: await settlements(),
  })
}

/** The longest turn of the event loop while `work` runs, in milliseconds of its thread: what other programs take does not count. */
async function longestTurn(work: () => Promise<void>): Promise<number> {
  let longest = 0
  let last = threadMs()
  let running = true
  const turn = () => {
    const now = threadMs()
    longest = Math.max(longest, now - last)
    last = now
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  running = false
  return longest
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

const directory = mkdtempSync(join(tmpdir(), 'latchkey-proof-'))
const config = readConfig({ LATCHKEY_DATA_DIR: directory })
const log = createLog('warn')
const surroundings = { clock: systemClock, log }
const storage = embeddedStorage(await openPrivateDatabase(config.dataDirectory, surroundings), log)
const engine = new BudgetEngine({
  pool: storage.database.pool,
  heartbeatPool: storage.heartbeat.pool,
  clock: systemClock,
  random: systemRandom,
  log,
  alone: true,
})
const budgets: BudgetId[] = []

async function settlements(): Promise<RequestRecord['settlements']> {
  const decision = await engine.hold(budgets, nanoUsd(800_000n))
  if (decision.kind !== 'held') throw new Error(decision.kind)
  return engine.settle(decision.hold, nanoUsd(140_500n))
}

try {
  const { pool } = storage.database
  await migrate(pool, migrations, { clock: systemClock, log })
  const organization = await addOrganization(pool)
  for (let count = 0; count < 3; count++)
    budgets.push(await addBudget(pool, organization, 1_000_000_000_000_000n))
  await engine.start()
  const lastUses = new LastUses()
  const turns: number[] = []
  const durations: number[] = []
  const texts: number[] = []
  for (let round = 0; round < rounds; round++) {
    const records: RequestRecord[] = []
    for (let count = 0; count < rows; count++) records.push(await record())
    // As the recorder does it: each when its request ends, in a turn of its own.
    const made = threadMs()
    const batch: readonly RecordRow[] = records.map(rowOf)
    const started = performance.now()
    texts.push((threadMs() - made) / rows)
    turns.push(await longestTurn(() => insertRows(pool, batch, lastUses)))
    durations.push(performance.now() - started)
  }
  const median = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
  // One batch takes less than a tick of the thread's clock.
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  // The first rounds compile; the median of the others is what a running gateway sees.
  const longest = median(turns.slice(10))
  process.stdout.write(
    `${rows} records, settled into three budgets, in ${median(durations).toFixed(1)} ms; longest turn of the event loop ${longest.toFixed(2)} ms; ${(mean(texts) * 1000).toFixed(1)} µs for each when its request ends (medians of ${rounds} batches, the last one a mean)\n`,
  )
  process.exitCode = longest <= mostMs ? 0 : 1
} finally {
  await engine.close(systemClock.monotonic() + 5_000)
  await storage.close()
  rmSync(directory, { recursive: true, force: true })
}
