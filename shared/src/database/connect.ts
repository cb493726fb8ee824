import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { errorFields, type Log } from '../log.ts'
import { typeParsers } from './bigint.ts'
import { clientConfig, type DatabaseConnection } from './connection.ts'
import { Loan } from './loan.ts'
import type { Database } from './tables.ts'

export interface ConnectOptions {
  readonly connection: DatabaseConnection
  /** The most connections that are open at once. */
  readonly maxConnections: number
  /**
   * The server cancels a statement that has run for this long. One that is not answered for 5 s more fails, and its
   * connection is given up. 0: never.
   */
  readonly statementTimeoutMs: number
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string
  readonly log: Log
}

export interface DatabaseHandle {
  readonly kysely: Kysely<Database>
  readonly pool: pg.Pool
  /** Waits 5 s at the most for the queries that are running, then ends every connection. Once is enough; twice is allowed. */
  close(): Promise<void>
}

// Counts the wait for a free connection of the pool as well.
const connectDeadlineMs = 10_000
const idleInTransactionDeadlineMs = 60_000
const keepAliveDelayMs = 10_000
const answerGraceMs = 5_000
// Where the server does not answer our goodbyes.
const closeDeadlineMs = 5_000

/**
 * A pool of connections to Postgres. It connects when it is first used, so nothing is thrown here;
 * queries throw what `pg` throws, and fail after 10 s without a connection.
 */
export function connectDatabase(options: ConnectOptions): DatabaseHandle {
  const pool = new pg.Pool({
    ...clientConfig(options.connection),
    max: options.maxConnections,
    statement_timeout: options.statementTimeoutMs,
    ...(options.statementTimeoutMs === 0
      ? {}
      : { query_timeout: options.statementTimeoutMs + answerGraceMs }),
    idle_in_transaction_session_timeout: idleInTransactionDeadlineMs,
    connectionTimeoutMillis: connectDeadlineMs,
    application_name: options.applicationName,
    options: '-c TimeZone=UTC',
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    types: typeParsers,
  })
  // Without a listener, the death of an idle connection would end the process.
  pool.on('error', (error) => {
    // A server that stops while our connections say goodbye is no news.
    if (!pool.ending) options.log.warn('database.connection_lost', errorFields(error))
  })
  // The pool takes its listener away while a connection is in use. Whoever uses it is told by its query.
  pool.on('connect', (client) => client.on('error', () => undefined))

  const lender = {
    connect: async () => new Loan(await pool.connect()),
    end: () => pool.end(),
    options: pool.options,
  }
  const kysely = new Kysely<Database>({ dialect: new PostgresDialect({ pool: lender }) })
  let closed: Promise<void> | null = null
  return {
    kysely,
    pool,
    close() {
      // Kysely ends the pool only if it was used through Kysely.
      closed ??= withinDeadline(kysely.destroy().then(() => (pool.ending ? undefined : pool.end())))
      return closed
    },
  }
}

async function withinDeadline(closing: Promise<void>): Promise<void> {
  const late = new AbortController()
  await Promise.race([
    closing,
    sleep(closeDeadlineMs, undefined, { signal: late.signal }).catch(() => undefined),
  ])
  late.abort()
}
