import { type BudgetId, type NanoUsd, nanoUsd } from '@latchkey/shared'

/** A window's row as of one of its revisions. */
export interface WindowFigures {
  readonly id: bigint
  readonly budget: BudgetId
  /** By the database's clock, in milliseconds since the Unix epoch; null: never. */
  readonly endsAt: number | null
  readonly limit: NanoUsd
  readonly settled: NanoUsd
  readonly leased: NanoUsd
  readonly unsettled: NanoUsd
  readonly overage: NanoUsd
  readonly paused: boolean
  readonly revision: bigint
}

/** What is left once all that is in flight has cost nothing. Negative where more was spent than the limit. */
export function remaining(figures: WindowFigures): NanoUsd {
  return nanoUsd(figures.limit - figures.settled - figures.unsettled - figures.overage)
}

/** What nobody has leased, so that it may be granted. Negative where more is out than the limit. */
export function unleased(figures: WindowFigures): NanoUsd {
  return nanoUsd(remaining(figures) - figures.leased)
}

/** The columns of `figuresColumns` in a row of a result. */
export interface FiguresRow {
  readonly window_id: bigint
  readonly budget_id: BudgetId
  readonly ends_at: number | null
  readonly limit_nano: NanoUsd
  readonly settled_nano: NanoUsd
  readonly leased_nano: NanoUsd
  readonly unsettled_nano: NanoUsd
  readonly overage_nano: NanoUsd
  readonly paused: boolean
  readonly revision: bigint
}

/** SQL for a window's figures in a SELECT list; `window` is an alias of `budget_window`. */
export function figuresColumns(window: string): string {
  return [
    `${window}.id AS window_id`,
    `extract(epoch FROM ${window}.ends_at)::double precision * 1000 AS ends_at`,
    ...[
      'budget_id',
      'limit_nano',
      'settled_nano',
      'leased_nano',
      'unsettled_nano',
      'overage_nano',
      'paused',
      'revision',
    ].map((column) => `${window}.${column}`),
  ].join(', ')
}

export function figuresOf(row: FiguresRow): WindowFigures {
  return {
    id: row.window_id,
    budget: row.budget_id,
    endsAt: row.ends_at,
    limit: row.limit_nano,
    settled: row.settled_nano,
    leased: row.leased_nano,
    unsettled: row.unsettled_nano,
    overage: row.overage_nano,
    paused: row.paused,
    revision: row.revision,
  }
}
