import { type BudgetId, nanoUsd, type RandomBytes } from '@latchkey/shared'
import type { BudgetTimes } from '../../../gateway/src/budget/budget-times.ts'
import type { Ask, LeaseChange, LeaseChangeResult } from '../../../gateway/src/budget/change-leases.ts'
import { DatabaseClock } from '../../../gateway/src/budget/database-clock.ts'
import type { Hold } from '../../../gateway/src/budget/hold.ts'
import { judge } from '../../../gateway/src/budget/judge.ts'
import { LeaseBook } from '../../../gateway/src/budget/lease-book.ts'
import { Returns } from '../../../gateway/src/budget/returns.ts'
import { type Settlement, splitCost } from '../../../gateway/src/budget/settle.ts'
import { newEpochId } from '../../budget/books.ts'
import type { Bank } from './bank.ts'
import type { SimulatedRequest } from './simulated-request.ts'
import type { Tally } from './tally.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface SimulatedLeasesOptions {
  readonly bank: Bank
  readonly clock: VirtualClock
  readonly random: RandomBytes
  readonly times: BudgetTimes
  readonly tally: Tally
  readonly processes: number
  readonly roundTripMs: number
}

/** A request that waits for its leases. */
interface Waiting {
  readonly request: SimulatedRequest
  rounds: number
}

// As in leasing.ts.
const mostReturns = 256
const mostNeeds = 256
const mostRounds = 20
const appetiteLastsMs = 10_000

/**
 * The leases of one process, with the gateway's own book, its own rules of what goes back, and one statement at a time
 * for all that waits, as the gateway's conversation with the database has it.
 */
export class SimulatedLeases {
  readonly #options: SimulatedLeasesOptions
  readonly #book: LeaseBook
  readonly #returns: Returns
  readonly #epoch = newEpochId()
  #waiting: Waiting[] = []
  #answer: {
    readonly at: number
    readonly result: LeaseChangeResult
    readonly asking: ReadonlySet<Waiting>
  } | null = null

  constructor(options: SimulatedLeasesOptions) {
    const { clock, random, times } = options
    this.#options = options
    const databaseClock = new DatabaseClock(clock)
    this.#book = new LeaseBook(clock, random, databaseClock)
    this.#returns = new Returns(this.#book, clock, times)
  }

  /** How many leases there are, what they have to spare, and what requests hold, in nano-dollars. */
  get sums(): { readonly count: number; readonly spare: bigint; readonly held: bigint } {
    let [count, spare, held] = [0, 0n, 0n]
    for (const lease of this.#book.leases) {
      count++
      spare += lease.spare
      held += lease.held
    }
    return { count, spare, held }
  }

  /** A hold from the leases that are there; null: the request waits, and comes out of `answered`. */
  hold(request: SimulatedRequest): Hold | null {
    const hold = this.#book.take(request.budgets, request.bound)
    if (hold === null) this.#waiting.push({ request, rounds: 0 })
    return hold
  }

  settle(hold: Hold, { cost }: SimulatedRequest): readonly Settlement[] {
    hold.end()
    const split = splitCost(hold.amount, cost)
    return hold.leases.flatMap((lease) => {
      lease.settle(hold.amount, split.within)
      return lease.window === null ? [] : [{ window: lease.window, lease: lease.id, ...split }]
    })
  }

  /** What has lain idle goes back. */
  look(): void {
    this.#returns.addFrozen()
    this.#returns.addIdle()
  }

  /** A heartbeat compares every lease with its row. */
  beat(): void {
    for (const lease of this.#book.leases) if (lease.version > 0n) this.#options.tally.comparedRows++
  }

  /** Reads the answer that is there by now and sends the next statement. Gives the requests that may go on. */
  exchange(): readonly { readonly request: SimulatedRequest; readonly hold: Hold }[] {
    const { clock } = this.#options
    const held: { request: SimulatedRequest; hold: Hold }[] = []
    if (this.#answer !== null && clock.monotonic() >= this.#answer.at) {
      const { result, asking } = this.#answer
      this.#answer = null
      if ('standings' in result) this.#book.adopt(result.standings)
      this.#waiting = this.#waiting.filter((each) => {
        const hold = this.#book.take(each.request.budgets, each.request.bound)
        if (hold !== null) held.push({ request: each.request, hold })
        return hold === null && !(asking.has(each) && this.#isRefused(each))
      })
    }
    if (this.#answer === null) this.#send()
    return held
  }

  #isRefused(waiting: Waiting): boolean {
    const { budgets, bound } = waiting.request
    if (judge(this.#book, budgets, bound).kind === 'fits' && ++waiting.rounds < mostRounds) return false
    this.#options.tally.refusedByBudget++
    return true
  }

  #send(): void {
    if (this.#waiting.length === 0 && this.#returns.empty) return
    const { bank, clock, tally, processes, roundTripMs } = this.#options
    const parcels = this.#returns.take(mostReturns)
    const returning = new Set(parcels.map(({ lease }) => lease))
    const asking = this.#waiting
      .slice(0, mostNeeds)
      .filter(({ request }) => !request.budgets.some((budget) => returning.has(this.#book.leaseFor(budget))))
    const budgets = new Set(asking.flatMap(({ request }) => request.budgets))
    const change: LeaseChange = {
      epoch: this.#epoch,
      processes,
      returns: parcels.map(({ given }) => given),
      asks: [...budgets].map((budget) => this.#askOf(budget)),
      needs: asking.map(({ request }) => ({ budgets: request.budgets, amount: request.bound })),
    }
    if (change.returns.length === 0 && change.asks.length === 0) return
    const { result, written } = bank.change(change, clock.now())
    tally.leaseStatements++
    tally.grants += written.grants
    tally.returns += written.returns
    tally.leaseRows += written.rows
    this.#answer = { at: clock.monotonic() + roundTripMs, result, asking: new Set(asking) }
  }

  #askOf(budget: BudgetId): Ask {
    const { id, version, spare, lastGrant } = this.#book.leaseFor(budget)
    const recent = lastGrant !== null && this.#options.clock.monotonic() - lastGrant.at < appetiteLastsMs
    return {
      budget,
      lease: id,
      version,
      spare: spare > 0n ? spare : nanoUsd(0n),
      appetite: nanoUsd(recent ? lastGrant.amount * 4n : 0n),
    }
  }
}
