import type { BudgetId, BudgetPeriod, NanoUsd, OrganizationId, ScopeKind } from '@latchkey/shared'
import { changeBudget } from './change-budget.ts'
import { type Queryable, runStatement } from './statement.ts'

export interface NewBudget {
  readonly id: BudgetId
  readonly organizationId: OrganizationId
  readonly scopeKind: ScopeKind
  /** The id of the key, group, organization or provider key. */
  readonly scopeId: string
  readonly period: BudgetPeriod
  readonly limit: NanoUsd
  /** Percentages of the limit whose crossing is noted. */
  readonly thresholds: readonly number[]
  readonly createdAt: Date
}

export type CreateBudgetResult =
  /** Its id is the one that was asked for, or that of the removed budget which came back. */
  | { readonly kind: 'created'; readonly id: BudgetId }
  /** This scope has a budget of this period already, which is to be changed instead. */
  | { readonly kind: 'taken' }

const insertBudget = {
  name: 'create-budget',
  text: `
INSERT INTO budget AS known (id, organization_id, scope_kind, scope_id, period, limit_nano, status, thresholds, revision, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, 1, $8, $8)
ON CONFLICT (scope_kind, scope_id, period) DO UPDATE SET
  status = 'active',
  limit_nano = excluded.limit_nano,
  thresholds = excluded.thresholds,
  revision = known.revision + 1,
  updated_at = excluded.updated_at
WHERE known.status = 'removed'
RETURNING id`,
}

/**
 * Makes a budget. Its windows come with the first hold in each. One that was removed comes back, with what its
 * windows have counted: the scope has spent that. Throws the driver's error.
 */
export async function createBudget(database: Queryable, budget: NewBudget): Promise<CreateBudgetResult> {
  const { limit, createdAt } = budget
  const [row] = await runStatement<{ readonly id: BudgetId }>(database, insertBudget, [
    budget.id,
    budget.organizationId,
    budget.scopeKind,
    budget.scopeId,
    budget.period,
    limit,
    budget.thresholds,
    createdAt,
  ])
  if (row === undefined) return { kind: 'taken' }
  // The window of now has the limit from before the removal.
  if (row.id !== budget.id)
    await changeBudget(database, { budget: row.id, limit: { to: limit }, at: createdAt })
  return { kind: 'created', id: row.id }
}
