// Grant, return, settle, lower, raise, pause, sweep and release from sixteen connections at random for a minute, with
// lost and repeated statements, against an executable model. `npm run prove-budget-sql`
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, lockDataDirectory, systemClock } from '@latchkey/shared'
import { connectDatabase, migrate, migrations, startEmbeddedPostgres } from '@latchkey/shared/database'
import fc from 'fast-check'
import { addOrganization, auditWindows } from '../budget/books.ts'
import { histories, runHistory } from '../budget/history.ts'

const seconds = Number(process.argv[2] ?? 60)
const operations = 40

const directory = mkdtempSync(join(tmpdir(), 'latchkey-proof-'))
const log = createLog('error')
const lock = lockDataDirectory(directory)
const postgres = await startEmbeddedPostgres({ lock, clock: systemClock, log, maxConnections: 40 })
const { pool, close } = connectDatabase({
  connection: postgres.connection,
  maxConnections: 20,
  statementTimeoutMs: 10_000,
  applicationName: 'latchkey-proof',
  log,
})
try {
  await migrate(pool, migrations, { clock: systemClock, log: createLog('silent') })
  const organization = await addOrganization(pool)
  const started = performance.now()
  const total = { histories: 0, statements: 0, steps: 0 }
  while (performance.now() - started < seconds * 1000) {
    await fc.assert(
      fc.asyncProperty(histories(operations), async (history) => {
        const counts = await runHistory(pool, organization, history)
        total.histories++
        total.statements += counts.statements
        total.steps += counts.steps
      }),
      { numRuns: 1, endOnFailure: true },
    )
  }
  await auditWindows(pool)
  process.stdout.write(
    `${total.histories} histories, ${total.statements} operations from 16 connections, ${total.steps} steps of windows: each as the model says.\n`,
  )
} finally {
  await close()
  await postgres.stop()
  rmSync(directory, { recursive: true, force: true })
  lock.release()
}
