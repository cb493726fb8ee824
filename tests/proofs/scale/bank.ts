import { type BudgetId, type LeaseId, type NanoUsd, nanoUsd } from '@latchkey/shared'
import type { LeaseChange, LeaseChangeResult, LeaseRow } from '../../../gateway/src/budget/change-leases.ts'
import type { Settlement } from '../../../gateway/src/budget/settle.ts'
import type { WindowFigures } from '../../../gateway/src/budget/window-figures.ts'

interface Window {
  readonly id: bigint
  readonly budget: BudgetId
  readonly limit: bigint
  /** What one unit here stands for, where only some of the processes that share it are followed. */
  readonly scale: bigint
  settled: bigint
  leased: bigint
  revision: bigint
}

interface StoredLease {
  readonly id: LeaseId
  readonly window: Window
  version: bigint
  granted: bigint
  outstanding: bigint
  state: LeaseRow['state']
}

/** What the database would write for a change. */
export interface Written {
  readonly grants: number
  readonly returns: number
  readonly rows: number
}

/**
 * Postgres as budgets see it, in memory: windows without an end, and the arithmetic of `changeLeases`. A test feeds both
 * the same and expects the same.
 */
export class Bank {
  readonly #windows = new Map<BudgetId, Window>()
  readonly #byId = new Map<bigint, Window>()
  readonly #leases = new Map<LeaseId, StoredLease>()

  addBudget(budget: BudgetId, limit: bigint, scale = 1n): void {
    const id = BigInt(this.#windows.size + 1)
    const window = { id, budget, limit, scale, settled: 0n, leased: 0n, revision: 1n }
    this.#windows.set(budget, window)
    this.#byId.set(id, window)
  }

  has(budget: BudgetId): boolean {
    return this.#windows.has(budget)
  }

  /** Leases that are open. */
  get openLeases(): number {
    return this.#leases.size
  }

  /** Windows whose settled and leased money is more than their limit: there must be none. */
  get overspent(): readonly BudgetId[] {
    return [...this.#windows.values()]
      .filter(({ scale, settled, leased, limit }) => (settled + leased) * scale > limit)
      .map(({ budget }) => budget)
  }

  /** What is leased of all budgets, and what they are in sum. */
  get sums(): { readonly leased: bigint; readonly limits: bigint } {
    let [leased, limits] = [0n, 0n]
    for (const window of this.#windows.values()) {
      leased += window.leased * window.scale
      limits += window.limit
    }
    return { leased, limits }
  }

  /** As `changeLeases`. Leases are named by one process alone, so nothing is ever stale. */
  change(wanted: LeaseChange, at: number): { readonly result: LeaseChangeResult; readonly written: Written } {
    const takes = this.#takes(wanted)
    const changed = new Set<Window>()
    let [grants, returns, leaseRows] = [0, 0, 0]
    const lease = (id: LeaseId) => this.#leases.get(id)
    const standings: { lease: LeaseId; window: Window; isCurrent: boolean }[] = []
    const rows = new Map<LeaseId, LeaseRow>()
    for (const given of wanted.returns) {
      const stored = lease(given.lease)
      if (stored === undefined) continue
      stored.granted -= given.amount
      stored.outstanding -= given.amount
      stored.window.leased -= given.amount
      stored.version++
      if (given.close && stored.outstanding === 0n) stored.state = 'returned'
      if (given.amount > 0n) changed.add(stored.window)
      returns++
      leaseRows++
      standings.push({ lease: stored.id, window: stored.window, isCurrent: false })
      rows.set(stored.id, rowOf(stored))
      if (stored.state === 'returned') this.#leases.delete(stored.id)
    }
    for (const ask of wanted.asks) {
      const window = this.#windowOf(ask.budget)
      const take = takes.get(ask.budget) ?? 0n
      let stored = lease(ask.lease)
      if (stored === undefined && take > 0n) {
        stored = { id: ask.lease, window, version: 0n, granted: 0n, outstanding: 0n, state: 'open' }
        this.#leases.set(ask.lease, stored)
      }
      if (stored !== undefined && take > 0n) {
        stored.granted += take
        stored.outstanding += take
        stored.version++
        window.leased += take
        changed.add(window)
        grants++
        leaseRows++
      }
      standings.push({ lease: ask.lease, window, isCurrent: true })
      if (stored !== undefined) rows.set(stored.id, rowOf(stored))
    }
    for (const window of changed) window.revision++
    return {
      result: {
        kind: 'done',
        at,
        standings: standings.map(({ lease: id, window, isCurrent }) => ({
          lease: id,
          row: rows.get(id) ?? null,
          window: figuresOf(window),
          isCurrent,
        })),
      },
      written: { grants, returns, rows: leaseRows + changed.size },
    }
  }

  /** As the batch writer does it, without what lies beyond holds. */
  settle({ window: id, lease: leaseId, within }: Settlement): void {
    const lease = this.#leases.get(leaseId)
    const window = this.#byId.get(id)
    if (window === undefined) return
    const covered = lease === undefined || lease.outstanding < within ? (lease?.outstanding ?? 0n) : within
    if (lease !== undefined) lease.outstanding -= covered
    window.leased -= covered
    window.settled += within
    window.revision++
  }

  /** What each budget's lease grows by: the CTEs `room` to `step` of the statement. */
  #takes({ asks, needs, processes }: LeaseChange): ReadonlyMap<BudgetId, bigint> {
    const free = new Map(asks.map(({ budget }) => [budget, freeOf(this.#windowOf(budget))]))
    const spare = new Map(asks.map((ask) => [ask.budget, ask.spare]))
    const queued = new Map<BudgetId, bigint>()
    const wanted = new Map<BudgetId, { sum: bigint; largest: bigint }>()
    for (const { budgets, amount } of needs) {
      let fits = true
      for (const budget of budgets) {
        const sum = (queued.get(budget) ?? 0n) + amount
        queued.set(budget, sum)
        if (sum > (free.get(budget) ?? 0n) + (spare.get(budget) ?? 0n)) fits = false
      }
      if (!fits) continue
      for (const budget of budgets) {
        const known = wanted.get(budget) ?? { sum: 0n, largest: 0n }
        wanted.set(budget, { sum: known.sum + amount, largest: max(known.largest, amount) })
      }
    }
    const takes = new Map<BudgetId, bigint>()
    for (const { budget, spare: left, appetite } of asks) {
      const demand = wanted.get(budget)
      if (demand === undefined) continue
      const { limit } = this.#windowOf(budget)
      const lacking = demand.sum - left
      const size = min(
        min(max(demand.sum * 4n, appetite), max(limit / 200n, demand.largest)),
        (free.get(budget) ?? 0n) / (2n * BigInt(processes)),
      )
      if (lacking > 0n) takes.set(budget, max(lacking, size))
      else if (-lacking * 16n < appetite) takes.set(budget, size)
    }
    return takes
  }

  #windowOf(budget: BudgetId): Window {
    const window = this.#windows.get(budget)
    if (window === undefined) throw new Error('there is no such budget')
    return window
  }
}

function freeOf({ limit, scale, settled, leased }: Window): bigint {
  return max(0n, limit - (settled + leased) * scale)
}

function rowOf({ id, window, version, granted, outstanding, state }: StoredLease): LeaseRow {
  const [grantedNano, outstandingNano] = [nanoUsd(granted), nanoUsd(outstanding)]
  return { id, window: window.id, version, granted: grantedNano, outstanding: outstandingNano, state }
}

function figuresOf({ id, budget, limit, scale, settled, leased, revision }: Window): WindowFigures {
  const none: NanoUsd = nanoUsd(0n)
  return {
    id,
    budget,
    endsAt: null,
    limit: nanoUsd(limit),
    settled: nanoUsd(settled * scale),
    leased: nanoUsd(leased * scale),
    unsettled: none,
    overage: none,
    paused: false,
    revision,
  }
}

function max(one: bigint, other: bigint): bigint {
  return one > other ? one : other
}

function min(one: bigint, other: bigint): bigint {
  return one < other ? one : other
}
