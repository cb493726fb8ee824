import type { BudgetId, BudgetPeriod, NanoUsd, OrganizationId, ScopeKind } from '@latchkey/shared'
import { changeBudget } from './change-budget.ts'
import { createBudget } from './create-budget.ts'
import { type Queryable, runStatement } from './statement.ts'

/** Percentages of a budget's limit whose crossing is noted, unless told otherwise. */
export const defaultThresholds: readonly number[] = [50, 80, 100]

/** What a scope may spend in each window of a period. */
export interface WantedBudget {
  /** Its id, if there is no budget of this scope and period yet. */
  readonly id: BudgetId
  readonly organizationId: OrganizationId
  readonly scopeKind: ScopeKind
  /** The id of the key, group, organization or provider key. */
  readonly scopeId: string
  readonly period: BudgetPeriod
  readonly limit: NanoUsd
  readonly at: Date
}

const findBudget = {
  name: 'find-budget',
  text: 'SELECT id FROM budget WHERE scope_kind = $1 AND scope_id = $2 AND period = $3',
}

/**
 * Makes the budget of a scope and period, or sets the limit of the one that there is. In a transaction, tell the
 * vault's change feed after it: until then processes pay without a budget that is new. Throws the driver's error.
 */
export async function setBudget(database: Queryable, wanted: WantedBudget): Promise<BudgetId> {
  const { id, organizationId, scopeKind, scopeId, period, limit, at } = wanted
  const created = await createBudget(database, {
    id,
    organizationId,
    scopeKind,
    scopeId,
    period,
    limit,
    thresholds: defaultThresholds,
    createdAt: at,
  })
  if (created.kind === 'created') return created.id
  const [found] = await runStatement<{ readonly id: BudgetId }>(database, findBudget, [
    scopeKind,
    scopeId,
    period,
  ])
  if (found === undefined) throw new Error('a budget that is there can not be found')
  await changeBudget(database, { budget: found.id, limit: { to: limit }, at })
  return found.id
}
