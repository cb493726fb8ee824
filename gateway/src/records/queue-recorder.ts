import { setTimeout as sleep } from 'node:timers/promises'
import { type Clock, errorFields, type Log } from '@latchkey/shared'
import type pg from 'pg'
import { addRefusals, insertRecords, type RefusalCount } from './batch-insert.ts'
import type { Recorder } from './recorder.ts'
import type { RequestRecord } from './request-record.ts'

export interface QueueRecorderOptions {
  readonly pool: pg.Pool
  readonly places: number
  readonly clock: Clock
  readonly log: Log
}

const batchRows = 500
/** A record is visible well within a second; under load batches fill before that. */
const flushMs = 100
const firstRetryMs = 100
const longestRetryMs = 2_000
const minuteMs = 60_000

/**
 * The recorder of one process: a bounded queue in memory and one writer. While the database is away
 * the queue holds; when its places run out nothing more is admitted, so nothing is served unrecorded.
 */
export class QueueRecorder implements Recorder {
  readonly #options: QueueRecorderOptions
  #queue: RequestRecord[] = []
  /** Places taken: queued records, those being written, and those of requests in flight. */
  #taken = 0
  #dropped = 0
  #droppedReported = 0
  #refusals = new Map<string, number>()
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> | null = null
  #deadline = Number.POSITIVE_INFINITY

  constructor(options: QueueRecorderOptions) {
    this.#options = options
  }

  /** Records queued or being written, and places held by requests in flight. */
  get taken(): number {
    return this.#taken
  }

  /** Records of refusals that were dropped because the queue was more than half full. */
  get dropped(): number {
    return this.#dropped
  }

  reserve(): boolean {
    if (this.#taken >= this.#options.places) return false
    this.#taken++
    return true
  }

  record(record: RequestRecord): void {
    this.#queue.push(record)
    this.#schedule()
  }

  recordRefusal(record: RequestRecord): void {
    if (this.#taken * 2 >= this.#options.places) {
      this.#dropped++
      return
    }
    this.#taken++
    this.record(record)
  }

  countRefusal(code: string): void {
    const minute = Math.floor(this.#options.clock.now() / minuteMs) * minuteMs
    const bucket = `${new Date(minute).toISOString()} ${code}`
    this.#refusals.set(bucket, (this.#refusals.get(bucket) ?? 0) + 1)
    this.#schedule()
  }

  async close(deadline: number): Promise<void> {
    this.#deadline = deadline
    do {
      this.#startWriting()
      while (this.#writing !== null) await this.#writing
    } while (this.#queue.length > 0 && !this.#expired())
    const left = this.#queue.length
    if (left > 0) this.#options.log.error('records.lost', { count: left })
  }

  #schedule(): void {
    if (this.#writing !== null) return
    if (this.#queue.length >= batchRows) this.#startWriting()
    else this.#timer ??= setTimeout(() => this.#startWriting(), flushMs)
  }

  #startWriting(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#writing !== null) return
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = null
      if (this.#queue.length > 0 && !this.#expired()) this.#schedule()
    })
  }

  async #writeAll(): Promise<void> {
    this.#reportDropped()
    await this.#writeRefusals()
    while (this.#queue.length > 0 && !this.#expired()) {
      const batch = this.#queue.splice(0, batchRows)
      if (!(await this.#write(batch))) {
        this.#queue = [...batch, ...this.#queue]
        return
      }
      if (this.#queue.length < batchRows) return
    }
  }

  #reportDropped(): void {
    if (this.#dropped === this.#droppedReported) return
    this.#options.log.warn('records.dropped', { count: this.#dropped - this.#droppedReported })
    this.#droppedReported = this.#dropped
  }

  /** Tries until the batch is written, or the deadline has passed: then false. */
  async #write(batch: readonly RequestRecord[]): Promise<boolean> {
    const { pool, log } = this.#options
    for (let delay = firstRetryMs; ; delay = Math.min(longestRetryMs, delay * 2)) {
      try {
        await insertRecords(pool, batch)
        this.#taken -= batch.length
        return true
      } catch (error) {
        if (isRowFault(error)) return this.#writeHalves(batch, error)
        log.warn('records.write_failed', { rows: batch.length, ...errorFields(error) })
        if (this.#expired()) return false
        await sleep(delay)
      }
    }
  }

  /** One row that Postgres can't take must not hold up the others: halve until it stands alone. */
  async #writeHalves(batch: readonly RequestRecord[], error: unknown): Promise<boolean> {
    const [only] = batch
    if (only === undefined) return true
    if (batch.length === 1) {
      this.#options.log.error('records.poisoned', {
        requestId: only.id,
        keyId: only.keyId,
        ...errorFields(error),
      })
      this.#taken--
      return true
    }
    const middle = Math.ceil(batch.length / 2)
    return (await this.#write(batch.slice(0, middle))) && (await this.#write(batch.slice(middle)))
  }

  async #writeRefusals(): Promise<void> {
    if (this.#refusals.size === 0) return
    const refusals = this.#refusals
    this.#refusals = new Map()
    const counts: RefusalCount[] = []
    for (const [bucket, count] of refusals) {
      const [minute = '', code = ''] = bucket.split(' ')
      counts.push({ minute, code, count })
    }
    try {
      await addRefusals(this.#options.pool, counts)
    } catch (error) {
      this.#options.log.warn('refusals.write_failed', { rows: counts.length, ...errorFields(error) })
      // At most a row per code and minute: they can wait for the database.
      for (const [bucket, count] of refusals)
        this.#refusals.set(bucket, (this.#refusals.get(bucket) ?? 0) + count)
    }
  }

  #expired(): boolean {
    return this.#options.clock.monotonic() >= this.#deadline
  }
}

/**
 * Whether writing again can't help: a row that can't be made a row of, or SQLSTATE classes 22 (data), 23
 * (integrity) and 54 (limits). All else is about the connection or the server, and passes.
 */
function isRowFault(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true
  const code: unknown = error instanceof Error && 'code' in error ? error.code : null
  return typeof code === 'string' && /^(?:22|23|54)[0-9A-Z]{3}$/.test(code)
}
