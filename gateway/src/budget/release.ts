import type { BudgetId } from '@latchkey/shared'
import { windowColumns } from './locked-window.ts'
import { budgetChannel, messageSql } from './message.ts'
import { type Queryable, runStatement } from './statement.ts'
import type { AbandonedLease } from './sweep.ts'

const release = {
  name: 'release-leases',
  text: `
WITH dead AS MATERIALIZED (
  SELECT l.id, l.window_id FROM lease AS l JOIN budget_window AS w ON w.id = l.window_id
  WHERE w.budget_id = $1 AND l.state = 'swept' AND l.swept_at <= clock_timestamp() - make_interval(secs => $2)
),
locked_window AS MATERIALIZED (
  SELECT * FROM budget_window WHERE id IN (SELECT window_id FROM dead) ORDER BY id FOR UPDATE
),
locked_lease AS MATERIALIZED (
  SELECT l.* FROM lease AS l JOIN dead ON dead.id = l.id
  WHERE l.state = 'swept' AND (SELECT count(*) FROM locked_window) > 0
  FOR UPDATE OF l
),
released AS (
  UPDATE lease SET
    state = 'released', outstanding_nano = 0,
    granted_nano = locked_lease.granted_nano, swept_at = locked_lease.swept_at
  FROM locked_lease WHERE lease.id = locked_lease.id
),
released_window AS (
  UPDATE budget_window AS w SET
    unsettled_nano = locked.unsettled_nano - moved.outstanding,
    ${windowColumns('locked', ['settled_nano', 'leased_nano', 'overage_nano'])}
  FROM locked_window AS locked JOIN (
    SELECT window_id, sum(outstanding_nano)::bigint AS outstanding FROM locked_lease GROUP BY window_id
  ) AS moved ON moved.window_id = locked.id
  WHERE w.id = locked.id
  RETURNING w.id, w.revision
),
heard AS MATERIALIZED (SELECT pg_notify('${budgetChannel}', ${messageSql('room', 'id')}) FROM released_window)
SELECT l.id AS lease, l.window_id AS "window", l.outstanding_nano AS amount, w.revision
FROM locked_lease AS l JOIN released_window AS w ON w.id = l.window_id
WHERE (SELECT count(*) FROM heard) > 0`,
}

/**
 * Gives back what dead processes left behind in a budget's windows, on an administrator's word that it was not
 * spent. Only what was swept at least `longestRequestMs` ago: before that a process that was only thought dead
 * may still record a request. What is recorded later all the same adds to `overage`. Throws the driver's error.
 */
export function releaseLeases(
  database: Queryable,
  budget: BudgetId,
  longestRequestMs: number,
): Promise<readonly AbandonedLease[]> {
  return runStatement<AbandonedLease & Record<string, unknown>>(database, release, [
    budget,
    longestRequestMs / 1000,
  ])
}
