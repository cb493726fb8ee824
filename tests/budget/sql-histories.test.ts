import { createLog } from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { startTestDatabase } from '../support/database.ts'
import { addOrganization, auditWindows } from './books.ts'
import { histories, runHistory } from './history.ts'

// `npm run prove-budget-sql` does this for a minute.
test('whatever sixteen connections do at once, every window is what the model says, step by step', async () => {
  const database = await startTestDatabase()
  const { pool, close } = connectDatabase({
    connection: database.connection,
    maxConnections: 20,
    statementTimeoutMs: 10_000,
    applicationName: 'latchkey-tests',
    log: createLog('silent'),
  })
  const organization = await addOrganization(pool)
  let steps = 0
  try {
    await fc.assert(
      fc.asyncProperty(histories(14), async (history) => {
        steps += (await runHistory(pool, organization, history)).steps
      }),
      // Its timing is the machine's, so a smaller history proves nothing about a larger one that failed.
      { numRuns: 12, endOnFailure: true },
    )
    await auditWindows(pool)
  } finally {
    await close()
    await database.close()
  }
  expect(steps).toBeGreaterThan(300)
})
