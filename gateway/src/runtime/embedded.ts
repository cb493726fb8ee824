import {
  type Clock,
  connectDatabase,
  type DatabaseHandle,
  type EmbeddedPostgres,
  type Log,
  lockDataDirectory,
  startEmbeddedPostgres,
} from '@latchkey/shared'
import { type ChangeListener, postgresListener } from '@latchkey/vault'

/** Where a gateway keeps its things, opened. */
export interface Storage {
  readonly database: DatabaseHandle
  /** Hears of changes that other processes commit. */
  readonly listener: ChangeListener
  /** A directory that only we may enter, whose path is short enough for sockets in it. */
  readonly socketDirectory: string
  /** Closes what was opened, the database last. */
  close(): Promise<void>
}

const poolConnections = 10
const statementTimeoutMs = 30_000

/**
 * Embedded mode: takes the data directory and starts the private Postgres in it. Throws the faults of
 * a start (`directory_locked`, `postgres_version`, `disk_full`, …); nothing runs then.
 */
export async function openEmbeddedStorage(dataDirectory: string, clock: Clock, log: Log): Promise<Storage> {
  const lock = lockDataDirectory(dataDirectory)
  let postgres: EmbeddedPostgres
  try {
    postgres = await startEmbeddedPostgres({ lock, clock, log })
  } catch (error) {
    lock.release()
    throw error
  }
  const database = connectDatabase({
    connection: postgres.connection,
    maxConnections: poolConnections,
    statementTimeoutMs,
    applicationName: 'latchkey',
    log,
  })
  return {
    database,
    listener: postgresListener(postgres.connection, log),
    socketDirectory: postgres.connection.host,
    async close() {
      await database.close()
      await postgres.stop()
      lock.release()
    },
  }
}
