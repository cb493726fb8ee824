import type { BudgetId, EpochId, LeaseId, NanoUsd } from '@latchkey/shared'
import { windowColumns } from './locked-window.ts'
import { budgetChannel, messageSql } from './message.ts'
import { type Queryable, runStatement } from './statement.ts'
import { type FiguresRow, figuresColumns, figuresOf, type WindowFigures } from './window-figures.ts'

/** A lease from which money is returned. */
export interface Return {
  readonly lease: LeaseId
  readonly window: bigint
  /** The lease's version as the process knows it. */
  readonly version: bigint
  readonly amount: NanoUsd
  /** Ends the lease, if nothing is outstanding on it then. */
  readonly close: boolean
  /** Others wait for this money: tell them. */
  readonly announced: boolean
}

/** A lease of the budget's current window that may grow, or begin with version 0. */
export interface Ask {
  readonly budget: BudgetId
  readonly lease: LeaseId
  readonly version: bigint
  /** What of the lease no hold has taken: it serves needs before anything is granted. */
  readonly spare: NanoUsd
  /** Four times its last grant, where that was not long ago: a lease that is used up quickly grows. */
  readonly appetite: NanoUsd
}

/** What one waiting hold needs: the same amount of each of its budgets, or nothing of any. */
export interface Need {
  readonly budgets: readonly BudgetId[]
  readonly amount: NanoUsd
}

export interface LeaseChange {
  readonly epoch: EpochId
  /** How many processes are alive: they share what is free. At least 1. */
  readonly processes: number
  readonly returns: readonly Return[]
  readonly asks: readonly Ask[]
  /** In the order in which they are served. Their budgets are all in `asks`. */
  readonly needs: readonly Need[]
}

/** A lease's row. */
export interface LeaseRow {
  readonly id: LeaseId
  /** That of its own window: an ask of a lease whose window has passed finds another current one. */
  readonly window: bigint
  readonly version: bigint
  readonly granted: NanoUsd
  readonly outstanding: NanoUsd
  readonly state: 'open' | 'returned' | 'swept' | 'released'
}

/** How things stand with one lease after the statement. */
export interface LeaseStanding {
  readonly lease: LeaseId
  /** Null where it does not exist (yet). */
  readonly row: LeaseRow | null
  /** Of a return: its lease's window. Of an ask: its budget's current one. Null where the window is gone. */
  readonly window: WindowFigures | null
  /** Whether that is the window of now, by the database's clock, as far as the statement has asked. */
  readonly isCurrent: boolean
}

export type LeaseChangeResult =
  /** The needs that fit were granted for, the returns were taken. */
  | { readonly kind: 'done'; readonly at: number; readonly standings: readonly LeaseStanding[] }
  /** A lease is not as the process knows it, so nothing was changed: a reply was lost, or its window has passed. */
  | { readonly kind: 'stale'; readonly at: number; readonly standings: readonly LeaseStanding[] }
  /** A current window does not exist yet, so nothing was changed: make it and ask again. */
  | { readonly kind: 'windowless' }
  /** The epoch has ended, so nothing was changed. */
  | { readonly kind: 'fenced' }

interface StandingRow extends Omit<FiguresRow, 'window_id'> {
  readonly verdict: LeaseChangeResult['kind']
  readonly at: number
  readonly lease_id: LeaseId
  readonly is_current: boolean
  readonly window_id: bigint | null
  readonly lease_window: bigint | null
  readonly version: bigint
  readonly granted_nano: NanoUsd
  readonly outstanding_nano: NanoUsd
  readonly state: LeaseRow['state']
}

// Under READ COMMITTED a statement reads as of its beginning, except for the rows that it locks: those it
// reads as they are once it has waited for them. So every figure that decides comes from `locked` and `held`,
// and what can't be locked (a lease that a twin of this statement inserts) fails on its primary key.
// Whether any entry is stale is asked of all of them: EXISTS makes the planner join for the first row by nested loops.
// The order of locks is: the epoch's key, windows by id, leases of those windows.
const change = {
  name: 'change-leases',
  text: `
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS at),
own AS MATERIALIZED (SELECT id FROM process_epoch WHERE id = $1 AND ended_at IS NULL FOR KEY SHARE),
entry AS MATERIALIZED (
  SELECT e.*, coalesce(e."window", current.id) AS window_id
  FROM jsonb_to_recordset($2::jsonb) AS e(place int, "window" bigint, budget uuid, lease uuid, version bigint,
    spare bigint, appetite bigint, give bigint, "close" boolean, announced boolean)
  CROSS JOIN moment
  LEFT JOIN budget_window AS current ON e."window" IS NULL AND current.budget_id = e.budget
    AND current.starts_at <= moment.at AND (current.ends_at IS NULL OR moment.at < current.ends_at)
),
need AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($3::jsonb) AS n(turn int, place int, amount bigint)),
locked AS MATERIALIZED (
  SELECT * FROM budget_window
  WHERE id IN (SELECT window_id FROM entry) AND EXISTS (SELECT 1 FROM own)
  ORDER BY id FOR UPDATE
),
held AS MATERIALIZED (
  SELECT l.* FROM entry JOIN lease AS l ON l.id = entry.lease
  WHERE (SELECT count(*) FROM locked) > 0
  FOR UPDATE OF l
),
verdict AS MATERIALIZED (
  SELECT CASE
    WHEN NOT EXISTS (SELECT 1 FROM own) THEN 'fenced'
    WHEN EXISTS (
      SELECT 1 FROM entry LEFT JOIN locked ON locked.id = entry.window_id
      WHERE locked.id IS NULL AND entry."window" IS NULL
    ) THEN 'windowless'
    WHEN (
      SELECT bool_or(locked.id IS NULL OR coalesce(held.version, 0) <> entry.version
        OR held.state <> 'open' OR held.window_id <> entry.window_id OR held.epoch_id <> $1)
      FROM entry LEFT JOIN locked ON locked.id = entry.window_id LEFT JOIN held ON held.id = entry.lease
    ) THEN 'stale'
    ELSE 'done'
  END AS kind
),
room AS MATERIALIZED (
  SELECT entry.place, entry.spare, w.limit_nano, w.paused,
    greatest(0, w.limit_nano - w.settled_nano - w.overage_nano - w.unsettled_nano - w.leased_nano) AS free
  FROM entry JOIN locked AS w ON w.id = entry.window_id
),
fitting AS MATERIALIZED (
  SELECT turn FROM (
    SELECT need.turn, NOT room.paused
      AND sum(need.amount) OVER (PARTITION BY need.place ORDER BY need.turn) <= room.free + room.spare AS fits
    FROM need JOIN room USING (place)
  ) AS queue
  GROUP BY turn HAVING bool_and(fits)
),
demand AS MATERIALIZED (
  SELECT place, sum(amount) AS wanted, max(amount) AS largest FROM need WHERE turn IN (SELECT turn FROM fitting) GROUP BY place
),
portion AS MATERIALIZED (
  SELECT place, demand.wanted - room.spare AS lacking, least(
      greatest(demand.wanted * 4, entry.appetite),
      greatest(room.limit_nano / 200, demand.largest),
      room.free / (2 * $4::int)
    ) AS size, entry.appetite
  FROM entry JOIN room USING (place) JOIN demand USING (place)
),
step AS MATERIALIZED (
  SELECT entry.*, coalesce(CASE
      WHEN lacking > 0 THEN greatest(lacking, size)
      WHEN -lacking * 16 < portion.appetite THEN size
    END, 0)::bigint AS take
  FROM entry LEFT JOIN portion USING (place)
  WHERE (SELECT kind FROM verdict) = 'done'
),
begun AS (
  INSERT INTO lease (id, epoch_id, window_id, granted_nano, outstanding_nano, version, state)
  SELECT lease, $1, window_id, take, take, 1, 'open' FROM step WHERE version = 0 AND take > 0
  RETURNING id, window_id, version, granted_nano, outstanding_nano, state
),
grown AS (
  UPDATE lease SET
    granted_nano = held.granted_nano + step.take - step.give,
    outstanding_nano = held.outstanding_nano + step.take - step.give,
    version = held.version + 1,
    state = CASE WHEN step.close AND held.outstanding_nano + step.take = step.give THEN 'returned' ELSE 'open' END
  FROM step JOIN held ON held.id = step.lease
  WHERE lease.id = held.id AND (step.take > 0 OR step.give > 0 OR step.close)
  RETURNING lease.id, lease.window_id, lease.version, lease.granted_nano, lease.outstanding_nano, lease.state
),
moved AS (
  UPDATE budget_window AS w SET
    leased_nano = locked.leased_nano + sums.take - sums.give,
    ${windowColumns('locked', ['settled_nano', 'unsettled_nano', 'overage_nano'])}
  FROM locked JOIN (
    SELECT window_id, sum(take)::bigint AS take, sum(give)::bigint AS give FROM step GROUP BY window_id
  ) AS sums ON sums.window_id = locked.id
  WHERE w.id = locked.id AND (sums.take > 0 OR sums.give > 0)
  RETURNING w.*
),
heard AS MATERIALIZED (
  SELECT pg_notify('${budgetChannel}', ${messageSql('room', 'window_id')}) FROM step WHERE give > 0 AND announced
),
standing AS (SELECT * FROM moved UNION ALL SELECT * FROM locked WHERE id NOT IN (SELECT id FROM moved)),
lease_standing AS (
  SELECT * FROM begun UNION ALL SELECT * FROM grown UNION ALL
  SELECT id, window_id, version, granted_nano, outstanding_nano, state FROM held
  WHERE id NOT IN (SELECT id FROM begun UNION ALL SELECT id FROM grown)
)
SELECT verdict.kind AS verdict, extract(epoch FROM moment.at)::double precision * 1000 AS at, entry.lease AS lease_id,
  entry."window" IS NULL AS is_current,
  ${figuresColumns('w')}, l.window_id AS lease_window, l.version, l.granted_nano, l.outstanding_nano, l.state
FROM entry CROSS JOIN moment CROSS JOIN verdict
LEFT JOIN standing AS w ON w.id = entry.window_id
LEFT JOIN lease_standing AS l ON l.id = entry.lease
WHERE (SELECT count(*) FROM heard) >= 0
ORDER BY entry.place`,
}

/**
 * Takes what is returned and grants for the needs that fit, in their order and each in all of its budgets or in
 * none. One statement, which compares the version of every lease: where a reply was lost, ask again and learn
 * from `stale` what became of it. A need that does not fit also stands in the way of those behind it, until it
 * is asked for no more.
 *
 * A lease that must grow gets what the needs lack, or more: four times the needs or its appetite, up to 0.5 % of
 * the limit (or one more hold of the largest need) and to what is free ÷ twice the processes. One that would run
 * out soon gets its portion too: the statement that another lease needs saves it one of its own.
 *
 * A lease may stand in it once, and a budget in one ask. Throws the driver's error.
 */
export async function changeLeases(database: Queryable, wanted: LeaseChange): Promise<LeaseChangeResult> {
  const entries = [...wanted.returns.map(returnEntry), ...wanted.asks.map(askEntry)].map((entry, place) => ({
    place,
    ...entry,
  }))
  const places = new Map(wanted.asks.map((ask, index) => [ask.budget, wanted.returns.length + index]))
  const needs = wanted.needs.flatMap(({ budgets, amount }, turn) =>
    budgets.map((budget) => ({ turn, place: places.get(budget), amount: amount.toString() })),
  )
  const rows = await runStatement<StandingRow>(database, change, [
    wanted.epoch,
    JSON.stringify(entries),
    JSON.stringify(needs),
    wanted.processes,
  ])
  const [first] = rows
  if (first === undefined) return { kind: 'done', at: 0, standings: [] }
  if (first.verdict === 'fenced' || first.verdict === 'windowless') return { kind: first.verdict }
  return { kind: first.verdict, at: first.at, standings: rows.map(standingOf) }
}

function returnEntry(given: Return) {
  return {
    window: given.window.toString(),
    lease: given.lease,
    version: given.version.toString(),
    spare: '0',
    appetite: '0',
    give: given.amount.toString(),
    close: given.close,
    announced: given.announced,
  }
}

function askEntry(ask: Ask) {
  return {
    budget: ask.budget,
    lease: ask.lease,
    version: ask.version.toString(),
    spare: ask.spare.toString(),
    appetite: ask.appetite.toString(),
    give: '0',
    close: false,
    announced: false,
  }
}

function standingOf(row: StandingRow): LeaseStanding {
  const { lease_id: id, lease_window: leaseWindow, window_id: window } = row
  return {
    lease: id,
    row:
      leaseWindow === null
        ? null
        : {
            id,
            window: leaseWindow,
            version: row.version,
            granted: row.granted_nano,
            outstanding: row.outstanding_nano,
            state: row.state,
          },
    window: window === null ? null : figuresOf({ ...row, window_id: window }),
    isCurrent: row.is_current,
  }
}
