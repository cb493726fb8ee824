import {
  type BudgetId,
  type BudgetPeriod,
  type Database,
  type NanoUsd,
  nanoUsd,
  type OrganizationId,
  type ScopeKind,
} from '@latchkey/shared'
import { type Kysely, sql } from 'kysely'
import { windowEnd, windowStart } from './window-calendar.ts'

/** A budget with the figures of its present window, by the database's clock. */
export interface BudgetFigures {
  readonly id: BudgetId
  readonly scope: {
    readonly kind: ScopeKind
    readonly id: string
    /** Null where the scope itself is gone. */
    readonly name: string | null
  }
  readonly period: BudgetPeriod
  readonly status: 'active' | 'paused'
  readonly limit: NanoUsd
  /** Settled, or charged in other ways: `unsettled` and `overage` are in it. */
  readonly spent: NanoUsd
  /** Held by requests in flight, or set aside by a process for those that come. */
  readonly held: NanoUsd
  /** Left behind by processes that died: it may not have been spent. */
  readonly unsettled: NanoUsd
  /** What no lease answered for. */
  readonly overage: NanoUsd
  /** What may still be spent once all that is held is spent; never negative. */
  readonly remaining: NanoUsd
  /** Percentages of the limit. */
  readonly thresholds: readonly number[]
  /** Those that were crossed in this window, and when first. */
  readonly crossed: readonly { readonly percent: number; readonly at: Date }[]
  /** Null for a `total`. */
  readonly windowStart: Date | null
  /** When the next window begins; null for a `total`. */
  readonly resetsAt: Date | null
  readonly createdAt: Date
  readonly revision: number
}

/** Which budgets. Removed ones are none of them. */
export type BudgetSelection =
  | { readonly kind: 'ids'; readonly organizationId: OrganizationId; readonly ids: readonly BudgetId[] }
  | { readonly kind: 'scopes'; readonly scopeKind: ScopeKind; readonly scopeIds: readonly string[] }
  | BudgetPlace

/** At most `limit` of an organization, in the order of their creation. */
export interface BudgetPlace {
  readonly kind: 'page'
  readonly organizationId: OrganizationId
  readonly scopeKind?: ScopeKind | undefined
  readonly scopeId?: string | undefined
  readonly after: BudgetId | null
  readonly limit: number
}

interface Row {
  readonly id: BudgetId
  readonly scope_kind: ScopeKind
  readonly scope_id: string
  readonly scope_name: string | null
  readonly period: BudgetPeriod
  readonly status: 'active' | 'paused'
  readonly limit_nano: NanoUsd
  readonly spent_nano: NanoUsd
  readonly held_nano: NanoUsd
  readonly unsettled_nano: NanoUsd
  readonly overage_nano: NanoUsd
  readonly thresholds: readonly number[]
  readonly crossed_percents: readonly number[]
  readonly crossed_ats: readonly Date[]
  readonly window_start: Date
  readonly resets_at: Date | null
  readonly created_at: Date
  readonly revision: number
}

/** Budgets and what is left of them now, by one statement, in the order of their creation. Throws the driver's error. */
export async function readBudgets(
  database: Kysely<Database>,
  selection: BudgetSelection,
): Promise<readonly BudgetFigures[]> {
  if (isEmpty(selection)) return []
  const { rows } = await sql<Row>`
    select b.id, b.scope_kind, b.scope_id, b.period, b.status, b.limit_nano, b.thresholds, b.created_at, b.revision,
      coalesce(k.name, g.name, o.name, p.name) as scope_name,
      coalesce(w.settled_nano + w.unsettled_nano + w.overage_nano, 0) as spent_nano,
      coalesce(w.leased_nano, 0) as held_nano,
      coalesce(w.unsettled_nano, 0) as unsettled_nano,
      coalesce(w.overage_nano, 0) as overage_nano,
      array(select percent from budget_crossing where window_id = w.id order by percent) as crossed_percents,
      array(select crossed_at from budget_crossing where window_id = w.id order by percent) as crossed_ats,
      ${sql.raw(windowStart('b.period', 'statement_timestamp()'))} as window_start,
      ${sql.raw(windowEnd('b.period', 'statement_timestamp()'))} as resets_at
    from budget as b
    left join budget_window as w on w.budget_id = b.id
      and w.starts_at <= statement_timestamp() and (w.ends_at is null or statement_timestamp() < w.ends_at)
    left join proxy_key as k on k.id = case b.scope_kind when 'key' then b.scope_id end
    left join proxy_group as g on g.id = case b.scope_kind when 'group' then b.scope_id::uuid end
    left join organization as o on o.id = case b.scope_kind when 'organization' then b.scope_id::uuid end
    left join provider_key as p on p.id = case b.scope_kind when 'provider_key' then b.scope_id::uuid end
    where b.status <> 'removed' and ${condition(selection)}
    order by b.id
    limit ${selection.kind === 'page' ? selection.limit : null}`.execute(database)
  return rows.map(figuresOf)
}

function isEmpty(selection: BudgetSelection): boolean {
  switch (selection.kind) {
    case 'ids':
      return selection.ids.length === 0
    case 'scopes':
      return selection.scopeIds.length === 0
    case 'page':
      return false
    default:
      return selection satisfies never
  }
}

function condition(selection: BudgetSelection) {
  switch (selection.kind) {
    case 'ids':
      return sql`b.organization_id = ${selection.organizationId} and b.id = any(${[...selection.ids]}::uuid[])`
    case 'scopes':
      return sql`b.scope_kind = ${selection.scopeKind} and b.scope_id = any(${[...selection.scopeIds]}::text[])`
    case 'page': {
      const { organizationId, scopeKind = null, scopeId = null, after } = selection
      return sql`b.organization_id = ${organizationId}
        and b.scope_kind = coalesce(${scopeKind}::text, b.scope_kind)
        and b.scope_id = coalesce(${scopeId}::text, b.scope_id)
        and (${after}::uuid is null or b.id > ${after}::uuid)`
    }
    default:
      return selection satisfies never
  }
}

function figuresOf(row: Row): BudgetFigures {
  const left = row.limit_nano - row.spent_nano - row.held_nano
  return {
    id: row.id,
    scope: { kind: row.scope_kind, id: row.scope_id, name: row.scope_name },
    period: row.period,
    status: row.status,
    limit: row.limit_nano,
    spent: row.spent_nano,
    held: row.held_nano,
    unsettled: row.unsettled_nano,
    overage: row.overage_nano,
    remaining: nanoUsd(left > 0n ? left : 0n),
    thresholds: row.thresholds,
    crossed: row.crossed_percents.flatMap((percent, index) => {
      const at = row.crossed_ats[index]
      return at === undefined ? [] : [{ percent, at }]
    }),
    windowStart: row.period === 'total' ? null : row.window_start,
    resetsAt: row.resets_at,
    createdAt: row.created_at,
    revision: row.revision,
  }
}
