import {
  type BudgetId,
  type Clock,
  createLog,
  type Log,
  nanoUsd,
  type SocketConnection,
  systemClock,
  systemRandom,
} from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import type pg from 'pg'
import { onTestFinished } from 'vitest'
import type { BudgetTimes } from '../../gateway/src/budget/budget-times.ts'
import { BudgetEngine } from '../../gateway/src/budget/engine.ts'
import type { Hold, HoldDecision } from '../../gateway/src/budget/hold.ts'
import type { Settlement } from '../../gateway/src/budget/settle.ts'
import { newRequestId, type RecordedRequest } from './books.ts'

/** For `expect.poll`: what is soon on a busy machine. */
export const soon = { timeout: 10_000 }

export interface EngineSetup {
  readonly clock?: Clock
  readonly log?: Log
  readonly alone?: boolean
  readonly times?: Partial<BudgetTimes>
}

/** An engine with connections of its own, as a process has them. `kill` leaves everything as kill -9 does. */
export interface TestEngine {
  readonly engine: BudgetEngine
  /** All that it says but for heartbeats goes through it. */
  readonly pool: pg.Pool
  close(): Promise<void>
  kill(): Promise<void>
}

export async function startEngine(
  connection: SocketConnection,
  { clock = systemClock, log = createLog('silent'), alone = false, times = {} }: EngineSetup = {},
): Promise<TestEngine> {
  const pools = [4, 1].map((maxConnections) =>
    connectDatabase({
      connection,
      maxConnections,
      statementTimeoutMs: 5_000,
      applicationName: 'latchkey-tests',
      log,
    }),
  )
  const [main, beats] = pools
  if (main === undefined || beats === undefined) throw new Error('there are two pools')
  const engine = new BudgetEngine({
    pool: main.pool,
    heartbeatPool: beats.pool,
    clock,
    random: systemRandom,
    log,
    alone,
    // A busy machine must not look like an outage.
    times: { answerWithin: 20_000, ...times },
  })
  await engine.start()
  let open = true
  const end = async (deadlineMs: number) => {
    if (!open) return
    open = false
    await engine.close(clock.monotonic() + deadlineMs)
    await Promise.all(pools.map((pool) => pool.close()))
  }
  const kill = async () => {
    if (!open) return
    open = false
    // Nothing that it says from here on arrives.
    for (const { pool } of pools) pool.query = () => Promise.reject(new Error('killed'))
    await engine.close(clock.monotonic())
    await Promise.all(pools.map((pool) => pool.close()))
  }
  onTestFinished(() => end(500))
  return { engine, pool: main.pool, close: () => end(5_000), kill }
}

export function expectHold(decision: HoldDecision): Hold {
  if (decision.kind !== 'held') throw new Error(`not held: ${decision.kind}`)
  return decision.hold
}

/** Asks for a hold, gives it back at once, and tells what was decided. */
export async function attempt(
  engine: BudgetEngine,
  budgets: readonly BudgetId[],
  amount: bigint,
): Promise<HoldDecision['kind']> {
  const decision = await engine.hold(budgets, nanoUsd(amount))
  if (decision.kind === 'held') engine.giveBack(decision.hold)
  return decision.kind
}

/** One request, from its hold to its record. Null where it was refused. */
export async function request(
  engine: BudgetEngine,
  budgets: readonly BudgetId[],
  bound: bigint,
  cost: bigint,
): Promise<RecordedRequest | Exclude<HoldDecision, { kind: 'held' }>> {
  const decision = await engine.hold(budgets, nanoUsd(bound))
  return decision.kind === 'held' ? recordOf(engine.settle(decision.hold, nanoUsd(cost)), cost) : decision
}

export function recordOf(settlements: readonly Settlement[], cost: bigint): RecordedRequest {
  return { id: newRequestId(), cost: nanoUsd(cost), settlements }
}

export function tally(decisions: readonly { readonly kind: string }[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { kind } of decisions) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
