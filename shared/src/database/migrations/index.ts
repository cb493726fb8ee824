import { vaultKeysRecords } from './0001-vault-keys-records.ts'
import { budgets } from './0002-budgets.ts'

/** One step of the schema, run in a transaction of its own. Once released it is never edited. */
export interface Migration {
  readonly name: string
  readonly sql: string
}

/** Every migration, in the one order in which they run. */
export const migrations: readonly Migration[] = [vaultKeysRecords, budgets]
