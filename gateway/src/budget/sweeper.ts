import { type Clock, type EpochId, errorFields, type Log } from '@latchkey/shared'
import type { BudgetTimes } from './budget-times.ts'
import { endEpoch, type LiveEpoch } from './epoch.ts'
import { purge } from './purge.ts'
import { Sightings } from './sightings.ts'
import type { Queryable } from './statement.ts'
import { sweepLeases } from './sweep.ts'

export interface SweeperOptions {
  readonly database: Queryable
  readonly clock: Clock
  readonly log: Log
  readonly times: BudgetTimes
  /**
   * Called with epochs that were just ended, before what they had leased is swept: what their processes left behind
   * may still be recorded, and then settles as if they lived. Never throws, and takes seconds at the most.
   */
  readonly beforeSweep?: BeforeSweep | undefined
}

export type BeforeSweep = (epochs: readonly EpochId[]) => Promise<void>

// A process may die between the ending of an epoch and the sweeping of its leases.
const beatsBetweenSweeps = 12

/** Ends the epochs of dead processes, turns what they had leased into `unsettled`, and clears away what is over. */
export class Sweeper {
  readonly #options: SweeperOptions
  readonly #sightings: Sightings
  #beats = 0
  #sweeping: Promise<void> | null = null

  constructor(options: SweeperOptions) {
    this.#options = options
    this.#sightings = new Sightings(options.times.deadAfter, options.times.longestGap)
  }

  /** Nobody else can be alive on this database: ends every epoch but `own`, at once. Throws the driver's error. */
  async sweepOthers(live: readonly LiveEpoch[], own: EpochId): Promise<void> {
    const ended: EpochId[] = []
    for (const { id } of live) if (id !== own && (await endEpoch(this.#options.database, id))) ended.push(id)
    await this.#options.beforeSweep?.(ended)
    await this.#sweepLeases()
  }

  /** Looks at the epochs that have not ended. */
  look(live: readonly LiveEpoch[], own: EpochId): void {
    const others = live.filter((epoch) => epoch.id !== own)
    const dead = this.#sightings.look(others, this.#options.clock.monotonic())
    if (dead.length === 0 && this.#beats++ % beatsBetweenSweeps !== 0) return
    this.#sweeping ??= this.#sweep(dead).finally(() => {
      this.#sweeping = null
    })
  }

  /** The connection broke: what was seen before says nothing about what is seen after. */
  forget(): void {
    this.#sightings.forget()
  }

  /** Waits for a sweep that has begun. */
  async close(): Promise<void> {
    await this.#sweeping
  }

  async #sweep(dead: readonly LiveEpoch[]): Promise<void> {
    try {
      // By its counter: it may have beaten since we looked.
      const ended: EpochId[] = []
      for (const { id, counter } of dead)
        if (await endEpoch(this.#options.database, id, counter)) ended.push(id)
      if (ended.length > 0) await this.#options.beforeSweep?.(ended)
      await this.#sweepLeases()
      await purge(this.#options.database)
    } catch (error) {
      this.#options.log.warn('budget.sweep_failed', errorFields(error))
    }
  }

  async #sweepLeases(): Promise<void> {
    const swept = await sweepLeases(this.#options.database)
    if (swept.length > 0) this.#options.log.warn('budget.leases_swept', { count: swept.length })
  }
}
