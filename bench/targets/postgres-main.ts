// A throw-away Postgres for server mode, in a process of its own that is pinned like a gateway:
// `node postgres-main.ts <directory>`. When it accepts connections, `<directory>/ready.json` says where.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLog, lockDataDirectory, systemClock } from '@latchkey/shared'
import { startEmbeddedPostgres } from '@latchkey/shared/database'

const [, , directory = ''] = process.argv
const lock = lockDataDirectory(directory)
const postgres = await startEmbeddedPostgres({
  lock,
  clock: systemClock,
  log: createLog('silent'),
  maxConnections: 100,
})
const { host, user, database } = postgres.connection
const ready = join(directory, 'ready.json')
writeFileSync(`${ready}.new`, JSON.stringify({ pid: postgres.pid, host, user, database }))
renameSync(`${ready}.new`, ready)
process.once('SIGTERM', async () => {
  await postgres.stop()
  lock.release()
  process.exit(0)
})
// It lives until it is told to end.
setInterval(() => {}, 2 ** 30)
