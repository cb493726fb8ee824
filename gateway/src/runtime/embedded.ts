import type { Log } from '@latchkey/shared'
import { connectDatabase, postgresListener } from '@latchkey/shared/database'
import { poolDefaults } from './pool-defaults.ts'
import type { PrivateDatabase } from './private-database.ts'
import type { Storage } from './storage.ts'

// With the heartbeat's and the listener's well under what the server accepts.
const poolConnections = 10

/** Embedded mode: everything is in the private Postgres, which closes with it. */
export function embeddedStorage(privateDatabase: PrivateDatabase, log: Log): Storage {
  const { connection, dataDirectory } = privateDatabase
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
      await privateDatabase.close()
    },
  }
}
