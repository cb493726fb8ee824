import type { BudgetId, BudgetPeriod, NanoUsd, OrganizationId, ScopeKind } from '@latchkey/shared'
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

/** `taken`: this scope has a budget of this period already, which is to be changed instead. */
export type CreateBudgetResult = { readonly kind: 'created' } | { readonly kind: 'taken' }

const insertBudget = {
  name: 'create-budget',
  text: `
INSERT INTO budget (id, organization_id, scope_kind, scope_id, period, limit_nano, status, thresholds, revision, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, 1, $8, $8)
ON CONFLICT (scope_kind, scope_id, period) DO NOTHING
RETURNING id`,
}

/** Makes a budget. Its windows come with the first hold in each. Throws the driver's error. */
export async function createBudget(database: Queryable, budget: NewBudget): Promise<CreateBudgetResult> {
  const rows = await runStatement(database, insertBudget, [
    budget.id,
    budget.organizationId,
    budget.scopeKind,
    budget.scopeId,
    budget.period,
    budget.limit,
    budget.thresholds,
    budget.createdAt,
  ])
  return { kind: rows.length === 0 ? 'taken' : 'created' }
}
