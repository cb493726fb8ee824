import type { Config } from '../config.ts'
import { openEmbeddedStorage } from './embedded.ts'
import { openServerStorage } from './server.ts'
import type { Storage, StorageSurroundings } from './storage.ts'

/** Opens the storage that the configuration names. Throws the faults of a start; nothing is left open then. */
export function openStorage(config: Config, surroundings: StorageSurroundings): Promise<Storage> {
  const { database, dataDirectory } = config
  switch (database.kind) {
    case 'embedded':
      return openEmbeddedStorage(dataDirectory, surroundings.clock, surroundings.log)
    case 'server':
      return openServerStorage(database, dataDirectory, surroundings)
    default:
      return database satisfies never
  }
}
