import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type BudgetId,
  createLog,
  lockDataDirectory,
  type OrganizationId,
  systemClock,
  systemRandom,
} from '@latchkey/shared'
import {
  connectDatabase,
  type DatabaseHandle,
  migrate,
  migrations,
  startEmbeddedPostgres,
} from '@latchkey/shared/database'
import type { BudgetTimes } from '../../../gateway/src/budget/budget-times.ts'
import { BudgetEngine } from '../../../gateway/src/budget/engine.ts'
import { makeWindows } from '../../../gateway/src/budget/make-windows.ts'

/** A Postgres of its own with the schema, which goes with the proof. */
export interface ScratchDatabase {
  readonly main: DatabaseHandle
  /** An engine as a process of its own would have it. */
  startEngine(times?: Partial<BudgetTimes>): Promise<BudgetEngine>
  discard(): Promise<void>
}

export async function startScratchDatabase(): Promise<ScratchDatabase> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-scale-'))
  const log = createLog('error')
  const lock = lockDataDirectory(directory)
  const postgres = await startEmbeddedPostgres({ lock, clock: systemClock, log, maxConnections: 60 })
  const handles: DatabaseHandle[] = []
  const engines: BudgetEngine[] = []
  const connect = (maxConnections: number) => {
    const handle = connectDatabase({
      connection: postgres.connection,
      maxConnections,
      statementTimeoutMs: 60_000,
      applicationName: 'latchkey-proof',
      log,
    })
    handles.push(handle)
    return handle
  }
  const main = connect(10)
  await migrate(main.pool, migrations, { clock: systemClock, log: createLog('silent') })
  return {
    main,
    async startEngine(times = {}) {
      const engine = new BudgetEngine({
        pool: connect(4).pool,
        heartbeatPool: connect(1).pool,
        clock: systemClock,
        random: systemRandom,
        log,
        alone: false,
        times,
      })
      await engine.start()
      engines.push(engine)
      return engine
    },
    async discard() {
      for (const engine of engines) await engine.close(systemClock.monotonic() + 10_000)
      await Promise.all(handles.map((handle) => handle.close()))
      await postgres.stop()
      rmSync(directory, { recursive: true, force: true })
      lock.release()
    },
  }
}

/** Budgets of so many keys, with their windows. */
export async function addKeyBudgets(
  { main: { pool } }: ScratchDatabase,
  organization: OrganizationId,
  keys: number,
  limit: bigint,
): Promise<readonly BudgetId[]> {
  const { rows } = await pool.query<{ id: BudgetId }>(
    `INSERT INTO budget (id, organization_id, scope_kind, scope_id, period, limit_nano, status, thresholds, revision, created_at, updated_at)
     SELECT gen_random_uuid(), $1::uuid, 'key', gen_random_uuid()::text, 'total', $3, 'active', '{}', 1, now(), now() FROM generate_series(1, $2::int)
     RETURNING id`,
    [organization, keys, limit.toString()],
  )
  const budgets = rows.map(({ id }) => id)
  await makeWindows(pool, budgets)
  return budgets
}
