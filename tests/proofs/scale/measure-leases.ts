import { type BudgetId, type LeaseId, nanoUsd, type OrganizationId } from '@latchkey/shared'
import type { BudgetEngine } from '../../../gateway/src/budget/engine.ts'
import { leasesPerPage, readLeases } from '../../../gateway/src/budget/read-leases.ts'
import { addBudget } from '../../budget/books.ts'
import { memoryInUse } from '../../support/memory.ts'
import { addKeyBudgets, type ScratchDatabase } from './scratch-database.ts'

const limit = 4_000_000_000n
const largeLimit = 900_000_000_000_000_000n
const bound = nanoUsd(700_000n)
const atOnce = 1_000

/** What leases cost one process and Postgres. */
export interface LeaseFigures {
  readonly keys: number
  /** Of keys of which this process had none, a thousand requests at once. */
  readonly grantsPerSecond: number
  readonly grantsPerStatement: number
  /** One request after the other, each of a key that this process had none of. */
  readonly statementsPerSecond: number
  /** The same from four processes at once, which share the organization's budget, and where each has one of its own. */
  readonly fourSharing: number
  readonly fourApart: number
  readonly bytesPerLease: number
  /** What each heartbeat does: reading the row of every lease. */
  readonly compareMs: number
}

/** Has a lease of each of `keys` budgets granted, beside that of the organization. */
export async function measureLeases(
  database: ScratchDatabase,
  organization: OrganizationId,
  keys: number,
): Promise<LeaseFigures> {
  const { pool } = database.main
  const shared = await addBudget(pool, organization, largeLimit, { scopeKind: 'group' })
  const budgets = await addKeyBudgets(database, organization, keys, limit)
  const engine = await database.startEngine()
  const alone = 300
  const before = memoryInUse()
  const [together, single] = [budgets.slice(alone), budgets.slice(0, alone)]
  const singleMs = await timed(async () => {
    for (const id of single) await spend(engine, [id, shared])
  })
  const statements = engine.statements
  const togetherMs = await timed(async () => {
    for (let from = 0; from < together.length; from += atOnce)
      await Promise.all(together.slice(from, from + atOnce).map((id) => spend(engine, [id, shared])))
  })
  const sent = engine.statements - statements
  const bytesPerLease = (memoryInUse() - before) / engine.leased.count
  const compareMs = await timed(async () => {
    let after: LeaseId | null = null
    do after = (await readLeases(pool, engine.epoch, after, leasesPerPage)).last
    while (after !== null)
  })
  await engine.close(performance.now() + 60_000)
  const four = await Promise.all([0, 1, 2, 3].map(() => database.startEngine()))
  const own = await Promise.all(
    four.map(() => addBudget(pool, organization, largeLimit, { scopeKind: 'group' })),
  )
  /** Statements a second, of requests of keys that nobody has a lease of. */
  const rateOf = async (sharedBy: (place: number) => BudgetId | undefined) => {
    const more = await addKeyBudgets(database, organization, alone, limit)
    const sent = () => four.reduce((sum, each) => sum + each.statements, 0)
    const before = sent()
    const milliseconds = await timed(() =>
      Promise.all(
        four.map(async (each, place) => {
          const budgets = [sharedBy(place)].filter((id) => id !== undefined)
          for (let next = place; next < more.length; next += four.length)
            await spend(each, [...more.slice(next, next + 1), ...budgets])
        }),
      ),
    )
    return ((sent() - before) / milliseconds) * 1000
  }
  const fourSharing = await rateOf(() => shared)
  const fourApart = await rateOf((place) => own[place])
  return {
    fourSharing,
    fourApart,
    keys,
    grantsPerSecond: (together.length / togetherMs) * 1000,
    grantsPerStatement: together.length / sent,
    statementsPerSecond: (single.length / singleMs) * 1000,
    bytesPerLease,
    compareMs,
  }
}

async function spend(engine: BudgetEngine, budgets: readonly BudgetId[]): Promise<void> {
  const decision = await engine.hold(budgets, bound)
  if (decision.kind !== 'held') throw new Error(decision.kind)
  engine.giveBack(decision.hold)
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
