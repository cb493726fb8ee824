import type { BudgetId } from '@latchkey/shared'
import { type Queryable, runStatement } from './statement.ts'
import { windowEnd, windowStart } from './window-calendar.ts'

// A change of a budget updates its row first and its window after that. Sharing the row makes us wait for
// it and read its outcome; the clock is read after the wait, or a change at midnight could miss the new day.
const makeMissing = {
  name: 'make-budget-windows',
  text: `
WITH owner AS MATERIALIZED (
  SELECT id, period, limit_nano, status, clock_timestamp() AS at
  FROM (SELECT * FROM budget WHERE id = ANY($1::uuid[]) ORDER BY id FOR SHARE) AS shared
)
INSERT INTO budget_window (budget_id, starts_at, ends_at, limit_nano, ceiling_nano, paused)
SELECT id, ${windowStart('period', 'at')}, ${windowEnd('period', 'at')}, limit_nano, limit_nano, status = 'paused'
FROM owner ORDER BY id
ON CONFLICT (budget_id, starts_at) DO NOTHING`,
}

/** Makes the windows of `budgets` that the database's clock stands in, where they are missing. */
export async function makeWindows(database: Queryable, budgets: readonly BudgetId[]): Promise<void> {
  await runStatement(database, makeMissing, [budgets])
}
