import type { BudgetId, BudgetPeriod, NanoUsd, ScopeKind } from '@latchkey/shared'
import type pg from 'pg'

/** A window as its row says it, and what the other tables say it must be. */
export interface WindowStanding {
  readonly id: bigint
  readonly budget: BudgetId
  readonly scope: ScopeKind
  readonly scopeId: string
  readonly period: BudgetPeriod
  readonly limit: NanoUsd
  readonly ceiling: NanoUsd
  readonly settled: NanoUsd
  readonly leased: NanoUsd
  readonly unsettled: NanoUsd
  readonly overage: NanoUsd
  /** What the records say they have settled into it. */
  readonly recorded: NanoUsd
  /** What open leases, and what swept ones, have outstanding. */
  readonly openLeases: NanoUsd
  readonly sweptLeases: NanoUsd
}

/** A request's record, as far as it is about money. */
export interface RecordStanding {
  readonly id: string
  readonly status: number
  readonly attempts: number
  readonly cost: NanoUsd | null
  readonly held: NanoUsd | null
  readonly estimated: boolean
  readonly settlements: readonly {
    readonly window: string
    readonly within: string
    readonly beyond: string
  }[]
}

/** The database, read directly: nothing of it is taken on the gateway's word. */
export class Ledger {
  readonly pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.pool = pool
  }

  /** Every window and what it should be, as of one moment. */
  async windows(): Promise<readonly WindowStanding[]> {
    const { rows } = await this.pool.query<WindowStanding>(`
      WITH spent AS (
        SELECT (s ->> 'window')::bigint AS window_id, sum((s ->> 'within')::bigint + (s ->> 'beyond')::bigint)::bigint AS recorded
        FROM request, jsonb_array_elements(request.settlements) AS s GROUP BY 1
      ),
      leases AS (
        SELECT window_id, (sum(outstanding_nano) FILTER (WHERE state = 'open'))::bigint AS open,
          (sum(outstanding_nano) FILTER (WHERE state = 'swept'))::bigint AS swept
        FROM lease GROUP BY 1
      )
      SELECT w.id, w.budget_id AS budget, b.scope_kind AS scope, b.scope_id AS "scopeId", b.period,
        w.limit_nano AS limit, w.ceiling_nano AS ceiling, w.settled_nano AS settled, w.leased_nano AS leased,
        w.unsettled_nano AS unsettled, w.overage_nano AS overage, coalesce(spent.recorded, 0) AS recorded,
        coalesce(leases.open, 0) AS "openLeases", coalesce(leases.swept, 0) AS "sweptLeases"
      FROM budget_window AS w JOIN budget AS b ON b.id = w.budget_id
      LEFT JOIN spent ON spent.window_id = w.id LEFT JOIN leases ON leases.window_id = w.id
      ORDER BY w.id`)
    return rows
  }

  /** The window of now of a scope's budget for a period; the latest, where several are there. */
  async window(scope: ScopeKind, scopeId: string, period: BudgetPeriod = 'total'): Promise<WindowStanding> {
    const windows = await this.windows()
    const found = windows.findLast((w) => w.scope === scope && w.scopeId === scopeId && w.period === period)
    if (found === undefined) throw new Error(`there is no ${period} window of this ${scope}`)
    return found
  }

  /** Every record of a request that was sent, in the order in which they were written. */
  async sentRecords(): Promise<readonly RecordStanding[]> {
    const { rows } = await this.pool.query<RecordStanding>(`
      SELECT id, status, attempts, cost_nano AS cost, held_nano AS held, estimated, settlements
      FROM request WHERE attempts > 0 ORDER BY recorded_in, id`)
    return rows
  }

  /** How many epochs have not ended, and on how many open leases somebody might still count who is dead. */
  async epochs(): Promise<{ readonly live: number; readonly ended: number; readonly orphans: number }> {
    const { rows } = await this.pool.query<{ live: bigint; ended: bigint; orphans: bigint }>(`
      SELECT (SELECT count(*) FROM process_epoch WHERE ended_at IS NULL) AS live,
        (SELECT count(*) FROM process_epoch WHERE ended_at IS NOT NULL) AS ended,
        (SELECT count(*) FROM lease JOIN process_epoch AS e ON e.id = epoch_id WHERE state = 'open' AND ended_at IS NOT NULL) AS orphans`)
    const [row] = rows
    return { live: Number(row?.live), ended: Number(row?.ended), orphans: Number(row?.orphans) }
  }
}
