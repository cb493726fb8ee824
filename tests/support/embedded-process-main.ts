// A process that owns a data directory and its Postgres, as a gateway does: for tests that kill it.
import { createLog, LatchkeyError, lockDataDirectory, systemClock } from '@latchkey/shared'
import { startEmbeddedPostgres } from '@latchkey/shared/database'

const print = (message: Readonly<Record<string, unknown>>) =>
  process.stdout.write(`${JSON.stringify(message)}\n`)

try {
  const lock = lockDataDirectory(process.argv[2] ?? '')
  print({ kind: 'locked' })
  const postgres = await startEmbeddedPostgres({ lock, clock: systemClock, log: createLog('silent') })
  process.on('SIGINT', () => print({ kind: 'interrupted' }))
  print({ kind: 'ready', pid: postgres.pid, connection: postgres.connection })
} catch (error) {
  if (!(error instanceof LatchkeyError)) throw error
  print({ kind: 'refused', code: error.code, message: error.message })
}
