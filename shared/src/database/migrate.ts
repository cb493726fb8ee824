import pg from 'pg'
import type { Clock } from '../clock.ts'
import { LatchkeyError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Migration } from './migrations/migration.ts'

export interface MigrateOptions {
  readonly clock: Clock
  readonly log: Log
}

// Any number that nothing else locks in this database: "latchkey" in ASCII.
const migrationLock = '7809651199139603833'
// The longest that a timer can be.
const anyTimeMs = 2 ** 31 - 1
const insufficientPrivilege = '42501'

/**
 * Brings the schema up to the last of `migrations`. Each runs in a transaction of its own, in
 * order; of those who start at once, one migrates and the others wait for it. Throws
 * `migration_failed`, which names the migration and leaves nothing of it behind, and
 * `database_newer` where the database knows a migration that we don't.
 */
export async function migrate(
  pool: pg.Pool,
  migrations: readonly Migration[],
  options: MigrateOptions,
): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('SET statement_timeout = 0')
    await askPatiently(client, `SELECT pg_advisory_lock(${migrationLock})`)
    await ensureList(client)
    const applied = await client.query<{ name: string }>('SELECT name FROM migration')
    for (const migration of pending(
      migrations,
      applied.rows.map((row) => row.name),
    ))
      await apply(client, migration, options)
  } finally {
    // The connection carries our lock and settings: ending it frees both, whatever has happened.
    client.release(true)
  }
}

/** A long migration is not a hung query, and neither is waiting for somebody else's. */
function askPatiently(client: pg.PoolClient, text: string): Promise<unknown> {
  const query = { text, query_timeout: anyTimeMs }
  return client.query(query)
}

async function ensureList(client: pg.PoolClient): Promise<void> {
  const { rows } = await client.query<{ found: boolean }>(
    "SELECT to_regclass('migration') IS NOT NULL AS found",
  )
  if (rows[0]?.found === true) return
  try {
    await client.query('CREATE TABLE migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL)')
  } catch (cause) {
    if (!(cause instanceof pg.DatabaseError && cause.code === insufficientPrivilege)) throw cause
    throw new LatchkeyError('migration_failed', {
      message:
        'The database user may not make tables. Make it the owner of the database, or of the schema that its search_path begins with.',
      cause,
    })
  }
}

function pending(migrations: readonly Migration[], applied: readonly string[]): readonly Migration[] {
  const unknown = applied.find((name) => !migrations.some((migration) => migration.name === name))
  if (unknown !== undefined)
    throw new LatchkeyError('database_newer', {
      message: `The database has the migration "${unknown}", which this version of Latchkey does not know. Start the version that made it, or a newer one.`,
      details: { migration: unknown },
    })
  const gap = migrations.slice(0, applied.length).find((migration) => !applied.includes(migration.name))
  if (gap !== undefined)
    throw new LatchkeyError('migration_failed', {
      message: `The database lacks the migration "${gap.name}" but has a later one. Its list of migrations was edited, or it is a mixture of two databases.`,
      details: { migration: gap.name },
    })
  return migrations.slice(applied.length)
}

async function apply(client: pg.PoolClient, migration: Migration, options: MigrateOptions): Promise<void> {
  const started = options.clock.monotonic()
  try {
    await client.query('BEGIN')
    await askPatiently(client, migration.sql)
    await client.query('INSERT INTO migration (name, applied_at) VALUES ($1, $2)', [
      migration.name,
      new Date(options.clock.now()),
    ])
    await client.query('COMMIT')
  } catch (cause) {
    // The connection is ended by our caller, and with it the transaction, where this fails as well.
    await client.query('ROLLBACK').catch(() => undefined)
    throw new LatchkeyError('migration_failed', {
      message: `The migration "${migration.name}" failed. Nothing of it was kept.`,
      details: { migration: migration.name },
      cause,
    })
  }
  options.log.info('database.migrated', {
    migration: migration.name,
    durationMs: options.clock.monotonic() - started,
  })
}
