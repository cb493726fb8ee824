import type { EpochId } from '@latchkey/shared'
import { budgetChannel, joinedSql } from './message.ts'
import { type Queryable, runStatement } from './statement.ts'

/** An epoch that has not ended, as a heartbeat sees it. */
export interface LiveEpoch {
  readonly id: EpochId
  readonly counter: bigint
}

export type Beat =
  | {
      readonly kind: 'alive'
      /** The database's clock, in milliseconds since the Unix epoch. */
      readonly at: number
      /** Every epoch that has not ended, the own one too. */
      readonly live: readonly LiveEpoch[]
    }
  /** The epoch was taken for dead: its leases are gone. */
  | { readonly kind: 'ended' }

const begin = {
  name: 'begin-epoch',
  text: `
WITH own AS (
  INSERT INTO process_epoch (id, counter, started_at) VALUES ($1, 0, clock_timestamp()) ON CONFLICT DO NOTHING RETURNING id
)
SELECT pg_notify('${budgetChannel}', ${joinedSql('id')}) FROM own`,
}

const beat = {
  name: 'beat-epoch',
  text: `
WITH own AS (
  UPDATE process_epoch SET counter = counter + 1 WHERE id = $1 AND ended_at IS NULL RETURNING id, counter
)
SELECT extract(epoch FROM clock_timestamp())::double precision * 1000 AS at, id, counter
FROM (SELECT * FROM own UNION ALL SELECT id, counter FROM process_epoch WHERE ended_at IS NULL AND id <> $1) AS live
WHERE EXISTS (SELECT 1 FROM own)`,
}

// Grants share the epoch's row by its key. Locking it whole waits for those that have begun; the ones that
// come after us read that it has ended. Heartbeats lock neither out.
const end = {
  name: 'end-epoch',
  text: `
WITH own AS MATERIALIZED (
  SELECT id FROM process_epoch WHERE id = $1 AND ended_at IS NULL AND counter = coalesce($2::bigint, counter) FOR UPDATE
)
UPDATE process_epoch SET ended_at = clock_timestamp() FROM own WHERE process_epoch.id = own.id
RETURNING process_epoch.id`,
}

/** Begins an epoch of an id that was just minted, and tells the others. Beginning it twice is beginning it once. */
export async function beginEpoch(database: Queryable, epoch: EpochId): Promise<void> {
  await runStatement(database, begin, [epoch])
}

/** Says that the epoch's process is alive, and reads the database's clock. */
export async function beatEpoch(database: Queryable, epoch: EpochId): Promise<Beat> {
  const rows = await runStatement<LiveEpoch & { at: number }>(database, beat, [epoch])
  const [first] = rows
  return first === undefined
    ? { kind: 'ended' }
    : { kind: 'alive', at: first.at, live: rows.map(({ id, counter }) => ({ id, counter })) }
}

/**
 * Ends an epoch: from here on nothing is granted to it. With `counter`, only where it has not beaten since
 * then. False where it had ended or has beaten.
 */
export async function endEpoch(database: Queryable, epoch: EpochId, counter?: bigint): Promise<boolean> {
  const rows = await runStatement(database, end, [epoch, counter ?? null])
  return rows.length > 0
}
