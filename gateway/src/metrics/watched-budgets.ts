import type { BudgetId, NanoUsd } from '@latchkey/shared'
import type { Hold, HoldDecision } from '../budget/hold.ts'
import type { Settlement } from '../budget/settle.ts'
import type { Budgets } from '../proxy/spending.ts'
import { Counts } from './counts.ts'
import { type Family, gauge } from './exposition.ts'

const outcomes = ['held', 'exhausted', 'paused', 'in-flight', 'unavailable', 'aborted'] as const

/** Budgets, with a count of what becomes of the holds that requests ask for. */
export class WatchedBudgets implements Budgets {
  readonly #budgets: Budgets
  readonly #outcomes = new Counts<HoldDecision['kind']>(outcomes)
  #open = 0

  constructor(budgets: Budgets) {
    this.#budgets = budgets
  }

  holdNow(budgets: readonly BudgetId[], amount: NanoUsd): HoldDecision | null {
    const decision = this.#budgets.holdNow(budgets, amount)
    return decision === null ? null : this.#count(decision)
  }

  hold(
    budgets: readonly BudgetId[],
    amount: NanoUsd,
    signal: AbortSignal,
  ): HoldDecision | Promise<HoldDecision> {
    const decision = this.#budgets.hold(budgets, amount, signal)
    return decision instanceof Promise ? decision.then((late) => this.#count(late)) : this.#count(decision)
  }

  settle(hold: Hold, cost: NanoUsd): readonly Settlement[] {
    const settlements = this.#budgets.settle(hold, cost)
    this.#ended(hold)
    return settlements
  }

  giveBack(hold: Hold): void {
    this.#budgets.giveBack(hold)
    this.#ended(hold)
  }

  remaining(budgets: readonly BudgetId[]): NanoUsd | null {
    return this.#budgets.remaining(budgets)
  }

  families(): readonly Family[] {
    return [
      {
        kind: 'counter',
        name: 'latchkey_holds_total',
        help: 'Decisions about holds on budgets. A request that is fitted to what is left asks several times.',
        samples: this.#outcomes.samples((outcome) => ({ outcome: outcome.replace('-', '_') })),
      },
      gauge('latchkey_holds_open', 'Holds of attempts in flight.', this.#open),
    ]
  }

  /** What holds nothing, because it costs nothing, is not counted. */
  #count(decision: HoldDecision): HoldDecision {
    if (decision.kind === 'held') {
      if (decision.hold.leases.length === 0) return decision
      this.#open++
    }
    this.#outcomes.add(decision.kind)
    return decision
  }

  #ended(hold: Hold): void {
    if (hold.leases.length > 0) this.#open--
  }
}
