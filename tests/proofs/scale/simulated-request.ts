import type { BudgetId, NanoUsd } from '@latchkey/shared'
import type { LimitAsk } from '../../../gateway/src/limits/rate-limiter.ts'

/** One request of the simulation. */
export interface SimulatedRequest {
  readonly key: number
  /** Of its key, its group and the organization. */
  readonly budgets: readonly BudgetId[]
  readonly limits: readonly LimitAsk[]
  /** The most that it can cost, and what it will have cost. */
  readonly bound: NanoUsd
  readonly cost: NanoUsd
  /** The most tokens that it can use, and what it will have used. */
  readonly tokens: number
  readonly tokensUsed: number
  readonly durationMs: number
}
