import { type BudgetId, type NanoUsd, nanoUsd } from '@latchkey/shared'
import { noteCrossings } from './crossing.ts'
import { budgetChannel, messageSql } from './message.ts'
import { type Queryable, runStatement } from './statement.ts'
import { windowEnd, windowStart } from './window-calendar.ts'

export interface BudgetChange {
  readonly budget: BudgetId
  /** A new limit, or so much more (negative: less, never below zero). */
  readonly limit?: { readonly to: NanoUsd } | { readonly by: NanoUsd }
  /** A removed budget limits nothing more: to be told to the vault's change feed in the same transaction. */
  readonly status?: 'active' | 'paused' | 'removed'
  /** Percentages of the limit whose crossing is noted. */
  readonly thresholds?: readonly number[]
  /** The change is refused where the budget has been changed since this revision. */
  readonly revision?: number
  readonly at: Date
}

/** What is out may exceed a lowered limit: then nothing is granted until enough has come back. */
export type ChangeBudgetResult =
  | {
      readonly kind: 'changed'
      readonly revision: number
      readonly window: bigint
      readonly windowRevision: bigint
      readonly limit: NanoUsd
      readonly ceiling: NanoUsd
    }
  /** There is no such budget, it was removed, it has another revision by now, or it would exceed `mostLimit`. */
  | { readonly kind: 'conflict' }

/** The highest limit that a budget can have: the highest amount that `parseUsd` reads. */
export const mostLimit = nanoUsd(999_999_999_999_999_999n)

interface ChangedRow {
  readonly revision: number
  readonly window_id: bigint
  readonly window_revision: bigint
  readonly limit_nano: NanoUsd
  readonly ceiling_nano: NanoUsd
}

// The clock is read once the budget's row is ours: a window that somebody makes by the old limit was
// begun before that, and is found by the conflict even where it is newer than our snapshot.
const change = {
  name: 'change-budget',
  text: `
WITH changed AS (
  UPDATE budget SET
    limit_nano = greatest(0, coalesce($2::bigint, limit_nano + coalesce($3::bigint, 0))),
    status = coalesce($4, status),
    thresholds = coalesce($5::smallint[], thresholds),
    revision = revision + 1,
    updated_at = $7
  WHERE id = $1 AND revision = coalesce($6, revision) AND status <> 'removed'
    AND coalesce($2::bigint, limit_nano + coalesce($3::bigint, 0)) <= ${mostLimit}
  RETURNING id, period, limit_nano, status, thresholds, revision, clock_timestamp() AS at
),
current AS (
  INSERT INTO budget_window AS w (budget_id, starts_at, ends_at, limit_nano, ceiling_nano, paused)
  SELECT id, ${windowStart('period', 'at')}, ${windowEnd('period', 'at')}, limit_nano, limit_nano, status = 'paused' FROM changed
  ON CONFLICT (budget_id, starts_at) DO UPDATE SET
    limit_nano = excluded.limit_nano,
    ceiling_nano = greatest(excluded.limit_nano, w.settled_nano + w.leased_nano + w.unsettled_nano),
    paused = excluded.paused,
    revision = w.revision + 1
  RETURNING *
),
${noteCrossings('crossing', 'current')},
heard AS MATERIALIZED (
  SELECT pg_notify('${budgetChannel}', ${messageSql('room', 'id')}) FROM current
  UNION ALL
  SELECT pg_notify('${budgetChannel}', ${messageSql('recall', 'id')}) FROM current
  WHERE paused OR settled_nano + overage_nano + unsettled_nano + leased_nano > limit_nano
)
SELECT changed.revision, current.id AS window_id, current.revision AS window_revision, current.limit_nano, current.ceiling_nano
FROM changed, current WHERE (SELECT count(*) FROM heard) > 0`,
}

/**
 * Raises, lowers, tops up, pauses, resumes or removes a budget, in its row and in the window of now. Where more is out
 * than the limit allows, and when it is paused, every lease is recalled; what is in flight may still be spent.
 * Throws the driver's error.
 */
export async function changeBudget(database: Queryable, wanted: BudgetChange): Promise<ChangeBudgetResult> {
  const { limit } = wanted
  const rows = await runStatement<ChangedRow>(database, change, [
    wanted.budget,
    limit !== undefined && 'to' in limit ? limit.to : null,
    limit !== undefined && 'by' in limit ? limit.by : null,
    wanted.status ?? null,
    wanted.thresholds ?? null,
    wanted.revision ?? null,
    wanted.at,
  ])
  const [row] = rows
  if (row === undefined) return { kind: 'conflict' }
  return {
    kind: 'changed',
    revision: row.revision,
    window: row.window_id,
    windowRevision: row.window_revision,
    limit: row.limit_nano,
    ceiling: row.ceiling_nano,
  }
}
