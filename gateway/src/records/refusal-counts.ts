import { type Clock, errorFields, isConnectionFault, type Log } from '@latchkey/shared'
import type pg from 'pg'
import { addRefusals, type RefusalCount } from './batch-insert.ts'

export interface RefusalCountsOptions {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly log: Log
}

const minuteMs = 60_000

/** Refusals of requests whose key is not known, counted until they are written: at most a row per code and minute. */
export class RefusalCounts {
  readonly #options: RefusalCountsOptions
  #counts = new Map<string, number>()
  #hasNew = false

  constructor(options: RefusalCountsOptions) {
    this.#options = options
  }

  /** Whether any were counted since the last write began; what a write could not write is not new. */
  get hasNew(): boolean {
    return this.#hasNew
  }

  add(code: string): void {
    this.#hasNew = true
    const minute = Math.floor(this.#options.clock.now() / minuteMs) * minuteMs
    this.#add(`${new Date(minute).toISOString()} ${code}`, 1)
  }

  /** Writes what was counted; throws where the database is away. What can't be written now waits for the next time. */
  async write(): Promise<void> {
    if (this.#counts.size === 0) return
    this.#hasNew = false
    const counts = this.#counts
    this.#counts = new Map()
    const rows: RefusalCount[] = []
    for (const [bucket, count] of counts) {
      const [minute = '', code = ''] = bucket.split(' ')
      rows.push({ minute, code, count })
    }
    try {
      await addRefusals(this.#options.pool, rows)
    } catch (error) {
      for (const [bucket, count] of counts) this.#add(bucket, count)
      if (isConnectionFault(error)) throw error
      this.#options.log.warn('refusals.write_failed', { rows: rows.length, ...errorFields(error) })
    }
  }

  #add(bucket: string, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count)
  }
}
