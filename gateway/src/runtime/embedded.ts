import { type Clock, type Log, lockDataDirectory } from '@latchkey/shared'
import {
  connectDatabase,
  type EmbeddedPostgres,
  postgresListener,
  startEmbeddedPostgres,
} from '@latchkey/shared/database'
import { poolDefaults } from './pool-defaults.ts'
import type { Storage } from './storage.ts'

// With the heartbeat's and the listener's well under what the server accepts.
const poolConnections = 10

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
  const { connection } = postgres
  const database = connectDatabase({ ...poolDefaults, connection, maxConnections: poolConnections, log })
  const heartbeat = connectDatabase({ ...poolDefaults, connection, maxConnections: 1, log })
  return {
    mode: 'embedded',
    database,
    heartbeat,
    alone: true,
    listener: postgresListener(connection, log),
    socketDirectory: connection.host,
    announcementDirectory: dataDirectory,
    async close() {
      await heartbeat.close()
      await database.close()
      await postgres.stop()
      lock.release()
    },
  }
}
