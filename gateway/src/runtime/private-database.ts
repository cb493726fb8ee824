import { type Clock, type Log, lockDataDirectory, type SocketConnection } from '@latchkey/shared'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@latchkey/shared/embedded-postgres'

/** A data directory that is ours alone, and the Postgres that runs in it. */
export interface PrivateDatabase {
  readonly dataDirectory: string
  readonly connection: SocketConnection
  /** Stops the Postgres and lets go of the directory. Called again, it waits for the same end. */
  close(): Promise<void>
}

/**
 * Takes the data directory and starts the private Postgres in it. Throws the faults of a start
 * (`directory_locked`, `postgres_version`, `disk_full`, …); nothing runs then. It needs little of what a gateway is
 * made of, so that the rest can be loaded meanwhile.
 */
export async function openPrivateDatabase(
  dataDirectory: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<PrivateDatabase> {
  const lock = lockDataDirectory(dataDirectory)
  let postgres: EmbeddedPostgres
  try {
    postgres = await startEmbeddedPostgres({ lock, clock, log })
  } catch (error) {
    lock.release()
    throw error
  }
  let closing: Promise<void> | null = null
  return {
    dataDirectory,
    connection: postgres.connection,
    close() {
      closing ??= postgres.stop().then(() => lock.release())
      return closing
    },
  }
}
