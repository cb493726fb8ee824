import type { Clock, Database, DeploymentId, Log, RandomBytes } from '@latchkey/shared'
import type { Kysely } from 'kysely'
import type { ChangeFeed } from './changes.ts'
import type { Keyring } from './keyring.ts'

/** What the vault's operations share: the database, the opened keys, and the outside world. */
export interface VaultParts {
  readonly db: Kysely<Database>
  readonly keyring: Keyring
  /** Everything sealed or signed is bound to it. */
  readonly deploymentId: DeploymentId
  readonly changes: ChangeFeed
  /** Reads the keyring again, for whoever met a version of a ring key that it does not have. Never throws. */
  readonly learnKeys: () => Promise<void>
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}
