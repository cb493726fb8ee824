import type { EpochId, LeaseId } from '@latchkey/shared'
import { type Queryable, runStatement } from './statement.ts'

const batchSize = 500
const keptFor = "interval '1 day'"

// The least UUID version 7 of that moment. Stable within the statement, so that the index serves it.
const oldestKept = `(lpad(to_hex((extract(epoch FROM statement_timestamp() - ${keptFor}) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid`

// Of leases that were begun long ago and are over. Nothing is outstanding on them, so they say nothing that the
// figures of their windows do not. No window is locked, and a lease that somebody has locked is left for next time.
const purgeLeasesOnce = {
  name: 'purge-leases',
  text: `
WITH over AS MATERIALIZED (
  SELECT id FROM lease
  WHERE id < ${oldestKept} AND outstanding_nano = 0
    AND (state = 'returned' OR state IN ('swept', 'released') AND swept_at < statement_timestamp() - ${keptFor})
  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM lease USING over WHERE lease.id = over.id RETURNING lease.id`,
}

const purgeEpochsOnce = {
  name: 'purge-epochs',
  text: `
WITH over AS MATERIALIZED (
  SELECT id FROM process_epoch AS e
  WHERE ended_at < statement_timestamp() - ${keptFor} AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.epoch_id = e.id)
  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM process_epoch USING over WHERE process_epoch.id = over.id RETURNING process_epoch.id`,
}

/** What one call has deleted. */
export interface Purged {
  readonly leases: readonly LeaseId[]
  readonly epochs: readonly EpochId[]
}

/**
 * Deletes leases that were over a day ago, and epochs that ended before and have none left: at most 500 of each, to
 * be called now and then. What is open or unsettled stays, however old it is. Throws the driver's error.
 */
export async function purge(database: Queryable): Promise<Purged> {
  const leases = await runStatement<{ readonly id: LeaseId }>(database, purgeLeasesOnce, [batchSize])
  const epochs = await runStatement<{ readonly id: EpochId }>(database, purgeEpochsOnce, [batchSize])
  return { leases: leases.map(({ id }) => id), epochs: epochs.map(({ id }) => id) }
}
