import type { Database, VaultProcessId } from '@latchkey/shared'
import { type Kysely, sql, type Transaction } from 'kysely'

/** What every process of a deployment has to follow. */
export interface DeploymentState {
  /** Moves with every change of the ring keys or of their wraps. */
  readonly keyringRevision: bigint
  /** Whether every vault is to be sealed. */
  readonly sealed: boolean
  /** Which process replaces ring keys, or has died before it was done. */
  readonly rotating: VaultProcessId | null
}

export async function readDeploymentState(db: Kysely<Database>): Promise<DeploymentState> {
  const row = await db
    .selectFrom('deployment')
    .select(['keyring_revision', 'sealed_at', 'rotating_process_id'])
    .executeTakeFirstOrThrow()
  return {
    keyringRevision: row.keyring_revision,
    sealed: row.sealed_at !== null,
    rotating: row.rotating_process_id,
  }
}

/** Says that ring keys or wraps have changed: the revision from now on. */
export async function raiseKeyringRevision(trx: Transaction<Database>): Promise<bigint> {
  const row = await trx
    .updateTable('deployment')
    .set({ keyring_revision: sql<bigint>`keyring_revision + 1` })
    .returning('keyring_revision')
    .executeTakeFirstOrThrow()
  return row.keyring_revision
}

/** Names who replaces ring keys. */
export async function beginRotation(db: Kysely<Database>, by: VaultProcessId): Promise<void> {
  await db.updateTable('deployment').set({ rotating_process_id: by }).execute()
}

/** Says that it is done, unless another has begun since. */
export async function endRotation(db: Kysely<Database>, by: VaultProcessId): Promise<void> {
  await db
    .updateTable('deployment')
    .set({ rotating_process_id: null })
    .where('rotating_process_id', '=', by)
    .execute()
}

/** Seals or unseals the deployment, in the caller's transaction. Sealing twice keeps the first moment. */
export async function setSealed(trx: Transaction<Database>, at: Date | null): Promise<void> {
  await trx
    .updateTable('deployment')
    .set((each) => ({ sealed_at: at === null ? null : each.fn.coalesce('sealed_at', sql<Date>`${at}`) }))
    .execute()
}
