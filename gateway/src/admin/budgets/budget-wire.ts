import { type BudgetWire, formatUsd, type ScopeBudgetWire } from '@latchkey/shared'
import type { BudgetFigures } from '../../budget/read-budgets.ts'

/** A budget as the API shows it beside its scope. */
export function scopeBudgetOf(budget: BudgetFigures): ScopeBudgetWire {
  return {
    id: budget.id,
    period: budget.period,
    status: budget.status,
    limitUsd: formatUsd(budget.limit),
    spentUsd: formatUsd(budget.spent),
    heldUsd: formatUsd(budget.held),
    remainingUsd: formatUsd(budget.remaining),
    resetsAt: budget.resetsAt?.toISOString() ?? null,
  }
}

/** A budget as the API shows it by itself. */
export function budgetWireOf(budget: BudgetFigures): BudgetWire {
  return {
    ...scopeBudgetOf(budget),
    scope: budget.scope,
    unsettledUsd: formatUsd(budget.unsettled),
    overageUsd: formatUsd(budget.overage),
    thresholds: [...budget.thresholds],
    crossed: budget.crossed.map(({ percent, at }) => ({ percent, at: at.toISOString() })),
    windowStart: budget.windowStart?.toISOString() ?? null,
    createdAt: budget.createdAt.toISOString(),
    revision: budget.revision,
  }
}
