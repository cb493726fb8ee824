import type { LeaseId, NanoUsd } from '@latchkey/shared'
import { noteCrossings } from './crossing.ts'
import { windowColumns } from './locked-window.ts'
import { type Queryable, runStatement } from './statement.ts'

// Not one with the ending of an epoch: a grant that the ending waited for has leases that are newer than
// the snapshot of the statement that ended it.
const sweep = {
  name: 'sweep-leases',
  text: `
WITH orphan AS MATERIALIZED (
  SELECT l.id, l.window_id FROM lease AS l JOIN process_epoch AS e ON e.id = l.epoch_id
  WHERE l.state = 'open' AND e.ended_at IS NOT NULL
),
locked_window AS MATERIALIZED (
  SELECT * FROM budget_window WHERE id IN (SELECT window_id FROM orphan) ORDER BY id FOR UPDATE
),
locked_lease AS MATERIALIZED (
  SELECT l.* FROM lease AS l JOIN orphan ON orphan.id = l.id
  WHERE l.state = 'open' AND (SELECT count(*) FROM locked_window) > 0
  FOR UPDATE OF l
),
swept AS (
  UPDATE lease SET
    swept_at = clock_timestamp(), state = 'swept',
    granted_nano = locked_lease.granted_nano, outstanding_nano = locked_lease.outstanding_nano
  FROM locked_lease WHERE lease.id = locked_lease.id
),
swept_window AS (
  UPDATE budget_window AS w SET
    leased_nano = locked.leased_nano - moved.outstanding,
    unsettled_nano = locked.unsettled_nano + moved.outstanding,
    ${windowColumns('locked', ['settled_nano', 'overage_nano'])}
  FROM locked_window AS locked JOIN (
    SELECT window_id, sum(outstanding_nano)::bigint AS outstanding FROM locked_lease GROUP BY window_id
  ) AS moved ON moved.window_id = locked.id
  WHERE w.id = locked.id
  RETURNING w.*
),
${noteCrossings('crossing', 'swept_window')}
SELECT l.id AS lease, l.window_id AS "window", l.outstanding_nano AS amount, w.revision
FROM locked_lease AS l JOIN swept_window AS w ON w.id = l.window_id`,
}

/** What was outstanding on one lease of a process that is dead. */
export interface AbandonedLease {
  readonly lease: LeaseId
  readonly window: bigint
  readonly amount: NanoUsd
  /** The window's revision that this has made. */
  readonly revision: bigint
}

/**
 * Turns what is outstanding on open leases of ended epochs into `unsettled`: it may have been spent, so it
 * counts as spent until its requests' records come or an administrator releases it. Throws the driver's error.
 */
export function sweepLeases(database: Queryable): Promise<readonly AbandonedLease[]> {
  return runStatement<AbandonedLease & Record<string, unknown>>(database, sweep, [])
}
