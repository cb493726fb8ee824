import { type LeaseId, type NanoUsd, nanoUsd, type StoredSettlement } from '@latchkey/shared'
import { mostLimit } from './change-budget.ts'
import { noteCrossings } from './crossing.ts'
import { windowColumns } from './locked-window.ts'

/** What one attempt settles into one lease. A request settles the same cost into every budget that it counts in. */
export interface Settlement {
  readonly window: bigint
  readonly lease: LeaseId
  /** The part of the cost that its hold covers. */
  readonly within: NanoUsd
  /** The part beyond the hold, which no lease answers for. */
  readonly beyond: NanoUsd
}

/**
 * `cost` as the books have room for it: an upstream may claim any usage, and whatever is beyond the highest limit
 * is as much beyond it as the next.
 */
export function bookable(cost: bigint): NanoUsd {
  return nanoUsd(cost < mostLimit ? cost : mostLimit)
}

/** A cost in two parts: what a hold of `held` covers, and what is beyond it. */
export function splitCost(held: NanoUsd, cost: NanoUsd): Pick<Settlement, 'within' | 'beyond'> {
  return cost <= held
    ? { within: cost, beyond: nanoUsd(0n) }
    : { within: held, beyond: bookable(cost - held) }
}

/** Settlements as the column `request.settlements` has them. */
export function storedSettlements(settlements: readonly Settlement[]): readonly StoredSettlement[] {
  return settlements.map(({ window, lease, within, beyond }) => ({
    window: window.toString(),
    lease,
    within: within.toString(),
    beyond: beyond.toString(),
  }))
}

/**
 * The part of the batch writer's statement that moves money: CTEs that follow the CTE `settlement`, which has what is
 * settled, in sum for each window and lease. The last of them, `settled_window`, has the rows of `budget_window` after it.
 *
 * Into an open lease, a cost moves from `leased` to `settled`; into a swept one, from `unsettled`. What its lease
 * does not answer for (released, gone, or less outstanding than that) adds to `overage`: no batch fails over it.
 * A settlement whose window is gone settles nowhere. Overage is counted up to the highest limit that there is.
 *
 * Each CTE decides by the rows that it has locked, in the order that grants, returns and sweeps lock them in.
 * CTEs are joined to one another as little as can be: Postgres supposes ten rows in an array, and may loop over one CTE for
 * each row of another.
 */
const settle = `
locked_window AS MATERIALIZED (
  SELECT * FROM budget_window WHERE id IN (SELECT window_id FROM settlement) ORDER BY id FOR UPDATE
),
locked_lease AS MATERIALIZED (
  SELECT l.*, least(s.within, l.outstanding_nano) AS covered
  FROM settlement AS s JOIN lease AS l ON l.id = s.lease_id AND l.window_id = s.window_id
  WHERE (SELECT count(*) FROM locked_window) > 0
  FOR UPDATE OF l
),
settled_lease AS (
  UPDATE lease SET
    outstanding_nano = l.outstanding_nano - l.covered,
    granted_nano = l.granted_nano, state = l.state, swept_at = l.swept_at
  FROM locked_lease AS l WHERE lease.id = l.id AND l.covered > 0
),
share AS MATERIALIZED (
  SELECT s.window_id, l.state, s.within + s.beyond AS cost, coalesce(l.covered, 0) AS covered
  FROM settlement AS s LEFT JOIN locked_lease AS l ON l.id = s.lease_id AND l.window_id = s.window_id
),
settled_window AS (
  UPDATE budget_window AS w SET
    settled_nano = locked.settled_nano + moved.open + moved.swept,
    leased_nano = locked.leased_nano - moved.open,
    unsettled_nano = locked.unsettled_nano - moved.swept,
    overage_nano = least(locked.overage_nano + moved.over, ${mostLimit}),
    ${windowColumns('locked', [])}
  FROM locked_window AS locked JOIN (
    SELECT window_id,
      least(sum(cost) - coalesce(sum(covered) FILTER (WHERE state IN ('open', 'swept')), 0), ${mostLimit})::bigint AS over,
      coalesce(sum(covered) FILTER (WHERE state = 'open'), 0)::bigint AS open,
      coalesce(sum(covered) FILTER (WHERE state = 'swept'), 0)::bigint AS swept
    FROM share GROUP BY window_id
  ) AS moved ON moved.window_id = locked.id
  WHERE w.id = locked.id AND moved.open + moved.swept + moved.over > 0
  RETURNING w.*
),
${noteCrossings('crossing', 'settled_window')}`

/**
 * Settles what the CTE `inserted` returns: the `settlements` of the requests that the statement has newly inserted, and no
 * others. So a record that is delivered twice settles once.
 */
export const settleInserted = `
settlement AS MATERIALIZED (
  SELECT s.window AS window_id, s.lease AS lease_id, sum(coalesce(s.within, 0))::bigint AS within,
    least(sum(coalesce(s.beyond, 0)), ${mostLimit})::bigint AS beyond
  FROM inserted, jsonb_to_recordset(inserted.settlements) AS s("window" bigint, lease uuid, within bigint, beyond bigint)
  GROUP BY s.window, s.lease
),
${settle}`

/**
 * Settles the sums in four parameters from `$first` on (windows, leases, within, beyond), for a statement that fails
 * where one of its requests was inserted before. It settles after the CTE `inserted`: the order of locks is always the same.
 */
export function settleSums(first: number): string {
  return `
settlement AS MATERIALIZED (
  SELECT * FROM unnest($${first}::bigint[], $${first + 1}::uuid[], $${first + 2}::bigint[], $${first + 3}::bigint[])
    AS s (window_id, lease_id, within, beyond)
  WHERE (SELECT count(*) FROM inserted) > 0
),
${settle}`
}
