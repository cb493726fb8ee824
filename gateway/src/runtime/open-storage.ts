import type { Config } from '../config.ts'
import { embeddedStorage } from './embedded.ts'
import { openPrivateDatabase, type PrivateDatabase } from './private-database.ts'
import { openServerStorage } from './server.ts'
import type { Storage, StorageSurroundings } from './storage.ts'

/**
 * Opens the storage that the configuration names; in embedded mode on `starting`, where the database is being started
 * already. Throws the faults of a start; nothing is left open then.
 */
export async function openStorage(
  config: Config,
  surroundings: StorageSurroundings,
  starting: Promise<PrivateDatabase> | null,
): Promise<Storage> {
  const { database, dataDirectory } = config
  switch (database.kind) {
    case 'embedded':
      return embeddedStorage(
        await (starting ?? openPrivateDatabase(dataDirectory, surroundings)),
        surroundings.log,
      )
    case 'server':
      return openServerStorage(database, dataDirectory, surroundings)
    default:
      return database satisfies never
  }
}
