import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { errorFields, type Log } from '../log.ts'
import type { Secret } from '../secret.ts'
import { typeParsers } from './bigint.ts'
import type { Database } from './tables.ts'

/** A Postgres on this machine that is reached through its Unix socket and asks for no password. */
export interface SocketConnection {
  /** The directory that holds the socket. */
  readonly host: string
  /** Names the socket in the directory; nothing listens on a port. */
  readonly port: number
  readonly user: string
  readonly database: string
}

/** A `postgres://` URL, secret because of its password, or a local socket. */
export type DatabaseConnection = Secret | SocketConnection

export interface ConnectOptions {
  readonly connection: DatabaseConnection
  /** The most connections that are open at once. */
  readonly maxConnections: number
  /** The server cancels a statement that has run for this long. 0: never. */
  readonly statementTimeoutMs: number
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string
  readonly log: Log
}

export interface DatabaseHandle {
  readonly kysely: Kysely<Database>
  readonly pool: pg.Pool
  /** Waits for the queries that are running, then ends every connection. Once is enough; twice is allowed. */
  close(): Promise<void>
}

// Counts the wait for a free connection of the pool as well.
const connectDeadlineMs = 10_000
const idleInTransactionDeadlineMs = 60_000
const keepAliveDelayMs = 10_000

/**
 * A pool of connections to Postgres. It connects when it is first used, so nothing is thrown here;
 * queries throw what `pg` throws, and fail after 10 s without a connection.
 */
export function connectDatabase(options: ConnectOptions): DatabaseHandle {
  const pool = new pg.Pool({
    ...connectionConfig(options.connection),
    max: options.maxConnections,
    statement_timeout: options.statementTimeoutMs,
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

  const kysely = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
  let closed: Promise<void> | null = null
  return {
    kysely,
    pool,
    close() {
      // Kysely ends the pool only if it was used through Kysely.
      closed ??= kysely.destroy().then(() => (pool.ended ? undefined : pool.end()))
      return closed
    },
  }
}

function connectionConfig(connection: DatabaseConnection): pg.ClientConfig {
  if (!('host' in connection)) return { connectionString: connection.reveal() }
  // PGSSLMODE in the environment must not ask the socket for TLS.
  return { ...connection, ssl: false }
}
