import type { LeaseId } from '@latchkey/shared'
import type { Settlement } from '../../../gateway/src/budget/settle.ts'
import { batchRows } from '../../../gateway/src/records/batch-writer.ts'
import type { Bank } from './bank.ts'
import type { Tally } from './tally.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface SimulatedRecordsOptions {
  readonly bank: Bank
  readonly clock: VirtualClock
  readonly tally: Tally
  readonly roundTripMs: number
}

// As in queue-recorder.ts.
const flushMs = 100
/** Milliseconds that Postgres takes for a row of a batch, as `--measure` tells. */
const rowMs = 0.1

/** The queue of records of one process, and its writer. */
export class SimulatedRecords {
  readonly #options: SimulatedRecordsOptions
  #queue: (readonly Settlement[])[] = []
  #flushAt: number | null = null
  #writingUntil = 0

  constructor(options: SimulatedRecordsOptions) {
    this.#options = options
  }

  add(settlements: readonly Settlement[]): void {
    this.#queue.push(settlements)
    this.#flushAt ??= Math.max(this.#options.clock.monotonic(), this.#writingUntil) + flushMs
  }

  exchange(): void {
    const { bank, clock, tally, roundTripMs } = this.#options
    const now = clock.monotonic()
    if (now < this.#writingUntil || this.#flushAt === null) return
    if (now < this.#flushAt && this.#queue.length < batchRows) return
    const batch = this.#queue.splice(0, batchRows)
    const leases = new Set<LeaseId>()
    const windows = new Set<bigint>()
    for (const settlements of batch) {
      for (const settlement of settlements) {
        bank.settle(settlement)
        leases.add(settlement.lease)
        windows.add(settlement.window)
      }
    }
    tally.recordBatches++
    tally.records += batch.length
    tally.settledRows += leases.size + windows.size
    this.#writingUntil = now + roundTripMs + batch.length * rowMs
    this.#flushAt = this.#queue.length === 0 ? null : this.#writingUntil + flushMs
  }
}
