/**
 * The CTE `name`: notes which soft thresholds the windows of the CTE `windows` (rows of `budget_window` as they
 * are after the statement) have reached. Each is noted once per window. A threshold of 0 % is never crossed.
 */
export function noteCrossings(name: string, windows: string): string {
  return `${name} AS (
  INSERT INTO budget_crossing (window_id, percent, crossed_at)
  SELECT w.id, percent, clock_timestamp()
  FROM ${windows} AS w JOIN budget ON budget.id = w.budget_id, unnest(budget.thresholds) AS percent
  WHERE percent > 0
    AND (w.settled_nano + w.unsettled_nano + w.overage_nano)::numeric * 100 >= w.limit_nano::numeric * percent
  ORDER BY w.id, percent
  ON CONFLICT DO NOTHING
)`
}
