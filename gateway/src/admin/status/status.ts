import { errorFields, type StatusWire } from '@latchkey/shared'
import type { AdminDependencies } from '../dependencies.ts'
import { askDatabase } from './queries.ts'

/** How the gateway is. It answers while the vault is sealed and while the database is away, too. */
export async function readStatus(deps: AdminDependencies): Promise<StatusWire> {
  const { version, pid, startedAt, dataUrl, draining, mode, records } = deps.info()
  const [database, workers] = await Promise.all([readDatabase(deps), deps.workers()])
  return {
    version,
    pid,
    startedAt: new Date(startedAt).toISOString(),
    now: new Date(deps.clock.now()).toISOString(),
    dataUrl,
    draining,
    mode,
    records,
    workers,
    vault: { sealed: deps.vault.sealed },
    database,
  }
}

async function readDatabase({ clock, database, log }: AdminDependencies): Promise<StatusWire['database']> {
  const begun = clock.monotonic()
  try {
    const { version, now } = await askDatabase(database)
    return { kind: 'reachable', version, pingMs: clock.monotonic() - begun, now: now.toISOString() }
  } catch (error) {
    log.warn('admin.database_unreachable', errorFields(error))
    return { kind: 'unreachable' }
  }
}
