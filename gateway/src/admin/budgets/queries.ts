import { type BudgetId, type Database, type NanoUsd, nanoUsd } from '@latchkey/shared'
import { type Kysely, sql } from 'kysely'

interface UnsettledRow {
  readonly waiting_nano: NanoUsd
  readonly releasable_at: Date | null
}

/** What dead processes left in a budget's windows, and when the last of it can be released. Throws the driver's error. */
export async function readUnsettled(
  database: Kysely<Database>,
  budget: BudgetId,
  longestRequestMs: number,
): Promise<{ readonly waiting: NanoUsd; readonly releasableAt: Date | null }> {
  const { rows } = await sql<UnsettledRow>`
    select coalesce(sum(l.outstanding_nano), 0)::bigint as waiting_nano,
      max(l.swept_at) + make_interval(secs => ${longestRequestMs / 1000}) as releasable_at
    from lease as l join budget_window as w on w.id = l.window_id
    where w.budget_id = ${budget} and l.state = 'swept' and l.outstanding_nano > 0`.execute(database)
  const [row] = rows
  return { waiting: row?.waiting_nano ?? nanoUsd(0n), releasableAt: row?.releasable_at ?? null }
}
