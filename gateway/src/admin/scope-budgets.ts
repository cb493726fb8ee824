import {
  type BudgetId,
  type BudgetPeriod,
  type budgetLimitWire,
  type Clock,
  type Database,
  LatchkeyError,
  type OrganizationId,
  parseUsd,
  type RandomBytes,
  type ScopeBudgetWire,
  type ScopeKind,
  uuidv7,
} from '@latchkey/shared'
import type { Kysely, Transaction } from 'kysely'
import type { z } from 'zod'
import { queryableOf } from '../budget/queryable-of.ts'
import { readBudgets } from '../budget/read-budgets.ts'
import { setBudget } from '../budget/set-budget.ts'
import { scopeBudgetOf } from './budgets/budget-wire.ts'

const periods: readonly BudgetPeriod[] = ['day', 'week', 'month', 'total']

/** The budgets of each scope of one kind, with the figures of now by the database's clock, shortest period first. */
export async function readScopeBudgets(
  database: Kysely<Database>,
  scopeKind: ScopeKind,
  scopeIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ScopeBudgetWire[]>> {
  const budgets = new Map<string, ScopeBudgetWire[]>(scopeIds.map((id) => [id, []]))
  const found = await readBudgets(database, { kind: 'scopes', scopeKind, scopeIds })
  const sorted = found.toSorted((one, other) => periods.indexOf(one.period) - periods.indexOf(other.period))
  for (const budget of sorted) budgets.get(budget.scope.id)?.push(scopeBudgetOf(budget))
  return budgets
}

export interface BudgetScope {
  readonly organizationId: OrganizationId
  readonly kind: ScopeKind
  readonly id: string
}

/** Gives a scope these budgets, or their limits to those that it has. Those of other periods stay. */
export async function setScopeBudgets(
  trx: Transaction<Database>,
  scope: BudgetScope,
  budgets: readonly z.output<typeof budgetLimitWire>[],
  clock: Clock,
  random: RandomBytes,
): Promise<void> {
  for (const { limitUsd, period } of budgets) {
    const limit = parseUsd(limitUsd)
    if (limit === null) throw new LatchkeyError('invalid_request', { param: 'limitUsd' })
    await setBudget(queryableOf(trx), {
      id: uuidv7<BudgetId>(clock, random),
      organizationId: scope.organizationId,
      scopeKind: scope.kind,
      scopeId: scope.id,
      period,
      limit,
      at: new Date(clock.now()),
    })
  }
}
