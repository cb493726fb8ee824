import {
  type BudgetId,
  type EpochId,
  type LeaseId,
  type NanoUsd,
  nanoUsd,
  type OrganizationId,
} from '@latchkey/shared'
import fc from 'fast-check'
import type pg from 'pg'
import { changeBudget } from '../../gateway/src/budget/change-budget.ts'
import { changeLeases, type LeaseChange } from '../../gateway/src/budget/change-leases.ts'
import { beginEpoch, endEpoch } from '../../gateway/src/budget/epoch.ts'
import { makeWindows } from '../../gateway/src/budget/make-windows.ts'
import { releaseLeases } from '../../gateway/src/budget/release.ts'
import { splitCost } from '../../gateway/src/budget/settle.ts'
import { type AbandonedLease, sweepLeases } from '../../gateway/src/budget/sweep.ts'
import {
  addBudget,
  newEpochId,
  newLeaseId,
  newRequestId,
  type RecordedRequest,
  recordRequests,
  type WindowRow,
  windowOf,
} from './books.ts'
import { type WindowEvent, WindowModel } from './window-model.ts'

/** What becomes of a reply: it comes; it is lost, and the statement repeated; two of it run at once. */
type Delivery = 'once' | 'again' | 'twins'

type Operation =
  | {
      readonly kind: 'grant'
      readonly scopes: readonly number[]
      readonly needs: readonly number[]
      readonly delivery: Delivery
    }
  | {
      readonly kind: 'return'
      readonly scope: number
      readonly percent: number
      readonly close: boolean
      readonly delivery: Delivery
    }
  | {
      readonly kind: 'request'
      readonly scopes: readonly number[]
      readonly held: number
      readonly cost: number
      readonly late: boolean
      readonly delivery: Delivery
    }
  | { readonly kind: 'limit'; readonly scope: number; readonly to: number }
  | { readonly kind: 'top-up'; readonly scope: number; readonly by: number }
  | { readonly kind: 'status'; readonly scope: number; readonly status: 'active' | 'paused' }
  | { readonly kind: 'sweep'; readonly process: number }
  | { readonly kind: 'release'; readonly scope: number }

/** What each of several processes does, one after the other, all at once. */
export type History = readonly (readonly Operation[])[]

const scopeCount = 4
const startLimit = 400n

const scope = fc.nat(scopeCount - 1)
const scopes = fc.uniqueArray(scope, { minLength: 1, maxLength: 3 })
const delivery = fc.constantFrom<Delivery>('once', 'once', 'once', 'again', 'twins')
const amount = fc.integer({ min: 1, max: 60 })

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('grant'),
      scopes,
      needs: fc.array(amount, { minLength: 1, maxLength: 3 }),
      delivery,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('return'),
      scope,
      percent: fc.integer({ min: 1, max: 100 }),
      close: fc.boolean(),
      delivery,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('request'),
      scopes,
      held: amount,
      cost: fc.integer({ min: 0, max: 70 }),
      late: fc.boolean(),
      delivery,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('limit'), scope, to: fc.integer({ min: 0, max: 800 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('top-up'), scope, by: fc.integer({ min: -100, max: 200 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('status'),
      scope,
      status: fc.constantFrom('active', 'active', 'paused'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sweep'), process: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release'), scope }) },
)

/** Histories of sixteen processes on four budgets. */
export function histories(longest: number): fc.Arbitrary<History> {
  const lane = fc.array(operation, { minLength: 1, maxLength: longest, size: 'max' })
  return fc.array(lane, { minLength: 16, maxLength: 16 })
}

interface KnownLease {
  readonly id: LeaseId
  window: bigint
  version: bigint
  granted: bigint
  /** Taken by requests, recorded or not. */
  taken: bigint
}

interface World {
  readonly pool: pg.Pool
  readonly budgets: readonly BudgetId[]
  readonly windows: ReadonlySet<bigint>
  readonly events: WindowEvent[]
  readonly epochs: EpochId[]
  /** Records that are delivered at the very end, as those of a spool are. */
  readonly late: RecordedRequest[]
}

export interface HistoryCounts {
  readonly statements: number
  readonly steps: number
}

/**
 * Runs a history on budgets of its own. Then replays every window's steps, in the order of its revisions, on the
 * model; throws where the two differ and where a step is missing.
 */
export async function runHistory(
  pool: pg.Pool,
  organization: OrganizationId,
  history: History,
): Promise<HistoryCounts> {
  const budgets: BudgetId[] = []
  for (let index = 0; index < scopeCount; index++)
    budgets.push(await addBudget(pool, organization, startLimit))
  await makeWindows(pool, budgets)
  const windows = await Promise.all(budgets.map((budget) => windowOf(pool, budget)))
  const world: World = {
    pool,
    budgets,
    windows: new Set(windows.map((window) => window.id)),
    events: [],
    epochs: [],
    late: [],
  }
  await Promise.all(history.map((lane, index) => new Process(world, index).run(lane)))
  for (const request of world.late) await record(world, [request])
  for (const window of windows) await replay(world, window)
  return { statements: history.flat().length, steps: world.events.length }
}

async function replay(world: World, { id, budget_id }: WindowRow): Promise<void> {
  const model = new WindowModel(startLimit)
  const events = world.events.filter((event) => event.window === id)
  for (const event of events.sort((a, b) => Number(a.revision - b.revision))) model.apply(event)
  const row = await windowOf(world.pool, budget_id)
  const actual = { revision: row.revision, ...figuresOf(row) }
  const expected = { revision: model.revision, ...model.figures }
  if (String(Object.values(actual)) !== String(Object.values(expected)))
    throw new Error(
      `the window ends as ${Object.values(actual)}, and the model as ${Object.values(expected)}`,
    )
}

function figuresOf(row: WindowRow) {
  return {
    settled: row.settled_nano,
    leased: row.leased_nano,
    unsettled: row.unsettled_nano,
    overage: row.overage_nano,
  }
}

/** One process, as far as money goes: an epoch, a lease of each budget, and what it knows of them. */
class Process {
  readonly #world: World
  readonly #index: number
  readonly #leases = new Map<BudgetId, KnownLease>()
  #epoch: EpochId

  constructor(world: World, index: number) {
    this.#world = world
    this.#index = index
    this.#epoch = newEpochId()
  }

  async run(operations: readonly Operation[]): Promise<void> {
    await this.#begin()
    for (const operation of operations) await this.#do(operation)
  }

  async #begin(): Promise<void> {
    this.#leases.clear()
    this.#epoch = newEpochId()
    await beginEpoch(this.#world.pool, this.#epoch)
    this.#world.epochs[this.#index] = this.#epoch
  }

  async #do(operation: Operation): Promise<void> {
    const { pool, epochs } = this.#world
    switch (operation.kind) {
      case 'grant': {
        const budgets = operation.scopes.map((index) => this.#budget(index))
        return this.#change(
          {
            asks: budgets.map((budget) => this.#ask(budget)),
            needs: operation.needs.map((need) => ({ budgets, amount: nanoUsd(BigInt(need)) })),
          },
          operation.delivery,
        )
      }
      case 'return': {
        const lease = this.#leases.get(this.#budget(operation.scope))
        if (lease === undefined || lease.version === 0n) return
        const { id, window, version } = lease
        const given = nanoUsd((spareOf(lease) * BigInt(operation.percent)) / 100n)
        const returned = {
          lease: id,
          window,
          version,
          amount: given,
          close: operation.close,
          announced: false,
        }
        return this.#change({ returns: [returned] }, operation.delivery)
      }
      case 'request':
        return this.#request(operation)
      case 'limit':
        return this.#changeBudget(operation.scope, { limit: { to: nanoUsd(BigInt(operation.to)) } })
      case 'top-up':
        return this.#changeBudget(operation.scope, { limit: { by: nanoUsd(BigInt(operation.by)) } })
      case 'status':
        return this.#changeBudget(operation.scope, { status: operation.status })
      case 'sweep': {
        const epoch = epochs[operation.process]
        if (epoch !== undefined) await endEpoch(pool, epoch)
        return this.#abandoned('sweep', await sweepLeases(pool))
      }
      case 'release':
        return this.#abandoned('release', await releaseLeases(pool, this.#budget(operation.scope), 0))
      default:
        operation satisfies never
    }
  }

  #budget(index: number): BudgetId {
    const budget = this.#world.budgets[index]
    if (budget === undefined) throw new Error('there is no such budget')
    return budget
  }

  #ask(budget: BudgetId): LeaseChange['asks'][number] {
    const known = this.#leases.get(budget)
    const lease = known ?? { id: newLeaseId(), window: 0n, version: 0n, granted: 0n, taken: 0n }
    this.#leases.set(budget, lease)
    return {
      budget,
      lease: lease.id,
      version: lease.version,
      spare: nanoUsd(spareOf(lease)),
      appetite: nanoUsd(0n),
    }
  }

  async #change(parts: Partial<LeaseChange>, delivery: Delivery): Promise<void> {
    const change: LeaseChange = {
      epoch: this.#epoch,
      processes: 16,
      returns: [],
      asks: [],
      needs: [],
      ...parts,
    }
    const send = async () => {
      const result = await changeLeases(this.#world.pool, change)
      if (result.kind === 'windowless') throw new Error('the window is gone')
      if (result.kind === 'done')
        for (const { row, window } of result.standings) {
          const version = [...change.returns, ...change.asks].find(
            (entry) => entry.lease === row?.id,
          )?.version
          // A close that returns nothing changes the lease and not the window.
          const moves = version !== row?.version && change.returns.every((given) => given.amount > 0n)
          if (row !== null && window !== null && moves) {
            const { id: lease, granted, outstanding } = row
            this.#world.events.push({
              window: window.id,
              revision: window.revision,
              step: { kind: 'lease', lease, granted, outstanding },
              after: {
                settled: window.settled,
                leased: window.leased,
                unsettled: window.unsettled,
                overage: window.overage,
              },
            })
          }
        }
      return result
    }
    const first = await (delivery === 'twins'
      ? Promise.all([send(), send()]).then(([reply]) => reply)
      : send())
    const last = delivery === 'again' ? await send() : first
    if (last.kind === 'fenced') return this.#begin()
    for (const { lease: id, row } of last.standings) {
      const known = [...this.#leases.values()].find((lease) => lease.id === id)
      if (known === undefined || row === null) continue
      known.window = row.window
      known.version = row.version
      known.granted = row.granted
      if (row.state !== 'open') this.#forget(known)
    }
  }

  #forget(lease: KnownLease): void {
    for (const [budget, known] of this.#leases) if (known === lease) this.#leases.delete(budget)
  }

  async #request(operation: Extract<Operation, { kind: 'request' }>): Promise<void> {
    const held = nanoUsd(BigInt(operation.held))
    const cost = nanoUsd(BigInt(operation.cost))
    const request = this.#take(operation.scopes, held, cost)
    if (request === null) return
    if (operation.late) {
      this.#world.late.push(request)
      return
    }
    if (operation.delivery === 'twins') {
      // Another of the same leases at the same moment, and both once more.
      const other = this.#take(operation.scopes, held, cost) ?? request
      await Promise.all([[request], [other], [request, other]].map((batch) => record(this.#world, batch)))
      return
    }
    await record(this.#world, [request])
    // The copy comes in a batch with others.
    if (operation.delivery === 'again') await record(this.#world, [...this.#world.late.slice(-2), request])
  }

  #take(scopeIndexes: readonly number[], held: NanoUsd, cost: NanoUsd): RecordedRequest | null {
    const leases = scopeIndexes.flatMap((index) => this.#leases.get(this.#budget(index)) ?? [])
    const ready = leases.every((lease) => lease.version > 0n && spareOf(lease) >= held)
    if (!ready || leases.length < scopeIndexes.length) return null
    const split = splitCost(held, cost)
    for (const lease of leases) lease.taken += split.within
    return {
      id: newRequestId(),
      cost,
      settlements: leases.map((lease) => ({ window: lease.window, lease: lease.id, ...split })),
    }
  }

  async #changeBudget(
    index: number,
    change: { limit?: { to: NanoUsd } | { by: NanoUsd }; status?: 'active' | 'paused' },
  ): Promise<void> {
    const result = await changeBudget(this.#world.pool, {
      budget: this.#budget(index),
      at: new Date(0),
      ...change,
    })
    if (result.kind === 'conflict') throw new Error('the budget is gone')
    this.#world.events.push({
      window: result.window,
      revision: result.windowRevision,
      step: { kind: 'change', limit: result.limit, ceiling: result.ceiling, status: change.status ?? null },
    })
  }

  #abandoned(kind: 'sweep' | 'release', leases: readonly AbandonedLease[]): void {
    const windows = Map.groupBy(leases, (lease) => lease.window)
    for (const [window, those] of windows) {
      const [first] = those
      if (first === undefined || !this.#world.windows.has(window)) continue
      const step = { kind, leases: new Map(those.map(({ lease, amount: left }) => [lease, left])) }
      this.#world.events.push({ window, revision: first.revision, step })
    }
  }
}

async function record(world: World, requests: readonly RecordedRequest[]): Promise<void> {
  for (const row of await recordRequests(world.pool, requests)) {
    const parts = requests.flatMap((request) =>
      request.settlements
        .filter((settlement) => settlement.window === row.id)
        .map(({ lease, within, beyond }) => ({ request: request.id, lease, within, beyond })),
    )
    world.events.push({
      window: row.id,
      revision: row.revision,
      step: { kind: 'settle', parts },
      after: figuresOf(row),
    })
  }
}

function spareOf(lease: KnownLease): bigint {
  const spare = lease.granted - lease.taken
  return spare > 0n ? spare : 0n
}
