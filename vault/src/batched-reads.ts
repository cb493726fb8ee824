import { setTimeout as sleep } from 'node:timers/promises'
import type { ChangeFeed, Moment } from './changes.ts'

/** What a read saw, and how old that is at most. */
export interface Reading<Found> {
  /** Undefined: there is no such thing. */
  readonly found: Found | undefined
  /** The change feed's generation before the read began. */
  readonly generation: number
  readonly began: Moment
}

export type ReadResult<Found> =
  | { readonly kind: 'read'; readonly reading: Reading<Found> }
  /** As many reads wait as may wait. */
  | { readonly kind: 'overloaded' }

export interface BatchedReadsOptions<Id, Found> {
  readonly changes: ChangeFeed
  /** Reads these, and finds those that there are. */
  readonly read: (ids: readonly Id[]) => Promise<ReadonlyMap<Id, Found>>
  /** How long to wait between two reads for others to join the second, in milliseconds. A full batch does not wait. */
  readonly pauseMs: number
}

const batchSize = 200
const mostWaiting = 10_000

/**
 * Reads things by their ids. One read is on its way at a time, and those that are asked for meanwhile share the
 * next: however many ask, it is one connection and few statements.
 */
export class BatchedReads<Id, Found> {
  readonly #options: BatchedReadsOptions<Id, Found>
  readonly #waiting = new Map<Id, PromiseWithResolvers<ReadResult<Found>>>()
  #running = false

  constructor(options: BatchedReadsOptions<Id, Found>) {
    this.#options = options
  }

  /** Reads one thing; the read begins after this call. Throws what `read` throws. */
  read(id: Id): Promise<ReadResult<Found>> {
    const shared = this.#waiting.get(id)
    if (shared !== undefined) return shared.promise
    if (this.#waiting.size >= mostWaiting) return Promise.resolve({ kind: 'overloaded' })
    const waiting = Promise.withResolvers<ReadResult<Found>>()
    this.#waiting.set(id, waiting)
    if (!this.#running) void this.#run()
    return waiting.promise
  }

  async #run(): Promise<void> {
    this.#running = true
    // Whoever asks in the same tick comes along.
    await Promise.resolve()
    while (this.#waiting.size > 0) {
      await this.#readBatch()
      // Also when nobody waits: the next to ask would begin another read at once.
      if (this.#waiting.size < batchSize && this.#options.pauseMs > 0)
        await sleep(this.#options.pauseMs, undefined, { ref: false })
    }
    this.#running = false
  }

  async #readBatch(): Promise<void> {
    const { changes, read } = this.#options
    const batch = this.#takeBatch()
    try {
      const generation = changes.generation
      const began = changes.moment()
      const found = await read(batch.map(([id]) => id))
      for (const [id, waiting] of batch)
        waiting.resolve({ kind: 'read', reading: { found: found.get(id), generation, began } })
    } catch (error) {
      for (const [, waiting] of batch) waiting.reject(error)
    }
  }

  #takeBatch(): readonly (readonly [Id, PromiseWithResolvers<ReadResult<Found>>])[] {
    const batch = []
    for (const entry of this.#waiting) {
      if (batch.length === batchSize) break
      batch.push(entry)
      this.#waiting.delete(entry[0])
    }
    return batch
  }
}
