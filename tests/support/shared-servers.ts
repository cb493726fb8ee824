import { randomBytes } from 'node:crypto'
import { createLog, parseDatabaseUrl, Secret, systemClock } from '@latchkey/shared'
import { connectDatabase, type DatabaseHandle, migrate, migrations } from '@latchkey/shared/database'
import type { TestProject } from 'vitest/node'
import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** What the gateways of this project run on, in server mode. Undefined: they run embedded. */
    readonly sharedServers: SharedServers | undefined
  }
}

/** One Postgres and one Redis for the gateways of a whole run. */
export interface SharedServers {
  /** `DATABASE_URL` of the database from which others are made. */
  readonly databaseUrl: string
  /** A migrated database, copied for each gateway. A copy's name begins with its name. */
  readonly template: string
  readonly redis:
    | { readonly kind: 'there'; readonly url: string }
    /** Whoever needs it fails with `reason`, which says what installs it. */
    | { readonly kind: 'missing'; readonly reason: string }
}

const log = createLog('silent')
// Every test file has gateways of its own, and a machine may run many at once.
const maxConnections = 400

/**
 * Takes the servers that `DATABASE_URL` and `REDIS_URL` name, or starts some. The result removes the databases of this
 * run, and stops what was started.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await takePostgres(process.env.DATABASE_URL)
  const redis = await takeRedis(process.env.REDIS_URL)
  const template = `latchkey_tests_${randomBytes(6).toString('hex')}`
  await onDatabase(postgres.url, ({ pool }) => pool.query(`CREATE DATABASE ${template}`))
  await onDatabase(databaseUrl(postgres.url, template), ({ pool }) =>
    migrate(pool, migrations, { clock: systemClock, log }),
  )
  project.provide('sharedServers', { databaseUrl: postgres.url, template, redis: redis.standing })
  return async () => {
    await dropDatabases(postgres.url, template)
    await postgres.discard()
    await redis.discard()
  }
}

/** The URL of another database on the same server. */
export function databaseUrl(url: string, database: string): string {
  const other = new URL(url)
  other.pathname = `/${database}`
  return other.href
}

/** Makes a copy of the migrated database, as `DATABASE_URL` names it. It goes with the run. */
export async function copyDatabase({ databaseUrl: url, template }: SharedServers): Promise<string> {
  const name = `${template}_${randomBytes(6).toString('hex')}`
  await onDatabase(url, ({ pool }) => pool.query(`CREATE DATABASE ${name} TEMPLATE ${template}`))
  return databaseUrl(url, name)
}

interface Taken {
  readonly url: string
  discard(): Promise<void>
}

const nothing = async () => undefined

async function takePostgres(given: string | undefined): Promise<Taken> {
  if (given) return { url: given, discard: nothing }
  const postgres = await startPostgres({ maxConnections })
  return { url: postgres.url('postgres'), discard: () => postgres.discard() }
}

async function takeRedis(
  given: string | undefined,
): Promise<{ readonly standing: SharedServers['redis']; discard(): Promise<void> }> {
  if (given) return { standing: { kind: 'there', url: given }, discard: nothing }
  try {
    const { url, discard } = await startRedis()
    return { standing: { kind: 'there', url }, discard }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { standing: { kind: 'missing', reason }, discard: nothing }
  }
}

async function dropDatabases(url: string, template: string): Promise<void> {
  await onDatabase(url, async ({ pool }) => {
    const { rows } = await pool.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [template],
    )
    for (const { datname } of rows) await pool.query(`DROP DATABASE ${datname} WITH (FORCE)`)
  })
}

async function onDatabase(url: string, work: (database: DatabaseHandle) => Promise<unknown>): Promise<void> {
  const database = connectDatabase({
    connection: parseDatabaseUrl(new Secret(url)),
    maxConnections: 1,
    statementTimeoutMs: 0,
    applicationName: 'latchkey-tests',
    log,
  })
  await work(database).finally(() => database.close())
}
