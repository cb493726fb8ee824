import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, lockDataDirectory, type SocketConnection, systemClock } from '@latchkey/shared'
import { connectDatabase, migrate, migrations, startEmbeddedPostgres } from '@latchkey/shared/database'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** The one server of this run; its database is migrated, and copied for each who asks. */
    readonly postgresServer: SocketConnection
  }
}

const prefix = join(tmpdir(), 'latchkey-tests-')
const environment = { clock: systemClock, log: createLog('silent') }
// Every test file has a pool of its own, and a machine may run many at once.
const maxConnections = 300
const abandonedAfterMs = 60_000

/** Starts one embedded Postgres for the whole run. The result stops it and removes its directory. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers()
  const directory = mkdtempSync(prefix)
  const lock = lockDataDirectory(directory)
  const postgres = await startEmbeddedPostgres({ ...environment, lock, maxConnections })
  const database = connectDatabase({
    connection: postgres.connection,
    maxConnections: 1,
    statementTimeoutMs: 0,
    applicationName: 'latchkey-tests',
    log: environment.log,
  })
  await migrate(database.pool, migrations, environment)
  await database.close()
  project.provide('postgresServer', postgres.connection)
  return async () => {
    await postgres.stop()
    // Under the lock, or another run would take it for a leftover in between.
    rmSync(directory, { recursive: true, force: true })
    lock.release()
  }
}

/** What a run that was killed has left: a directory that nobody has locked, and maybe its server. */
async function removeLeftovers(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const directory = join(tmpdir(), name)
    if (!directory.startsWith(prefix)) continue
    try {
      if (existsSync(join(directory, 'gateway.lock'))) await removeLocked(directory)
      // Without a lock file it is either new or half removed.
      else if (Date.now() - statSync(directory).mtimeMs > abandonedAfterMs)
        rmSync(directory, { recursive: true, force: true })
    } catch (error) {
      // Locked, or gone by now: another run is at work. Unreachable: another user's.
      if (!(error instanceof Error && 'code' in error)) throw error
    }
  }
}

async function removeLocked(directory: string): Promise<void> {
  const lock = lockDataDirectory(directory)
  try {
    // Starting it recovers its server, which can then be stopped.
    const postgres = await startEmbeddedPostgres({ ...environment, lock })
    await postgres.stop()
    rmSync(directory, { recursive: true, force: true })
  } finally {
    lock.release()
  }
}
