import { setTimeout as sleep } from 'node:timers/promises'
import { type Clock, errorFields, isConnectionFault, type Log } from '@latchkey/shared'
import { type BatchWriter, batchRows } from './batch-writer.ts'
import type { CrashCopies } from './crash-copies.ts'
import { type RecordRow, rowOf } from './record-row.ts'
import type { Recorder } from './recorder.ts'
import type { RefusalCounts } from './refusal-counts.ts'
import type { RequestRecord } from './request-record.ts'
import type { Spool } from './spool.ts'

export interface QueueRecorderOptions {
  readonly writer: BatchWriter
  readonly refusals: RefusalCounts
  readonly spool: Spool
  /** Null where no other process could read them. */
  readonly copies: CrashCopies | null
  readonly places: number
  readonly clock: Clock
  readonly log: Log
}

/** A record is visible well within a second; under load batches fill before that. */
export const flushMs = 100
const firstRetryMs = 100
const longestRetryMs = 2_000
/** A batch that takes longer is taken to wait for a database that is away. */
const stalledAfterMs = 1_000
/** At a time: the disk is slower than memory, and what is in the queue is in nobody's way. */
const spooledRows = 1_000

/**
 * The recorder of one process: a bounded queue in memory and one writer. While the database is away the queue
 * holds; once it is half full records go on to the spool, as they do at three quarters where the database is only slow.
 * When the spool is full and the places run out nothing more is admitted, so nothing is served unrecorded, until there
 * is room again.
 */
export class QueueRecorder implements Recorder {
  readonly #options: QueueRecorderOptions
  #queue: RecordRow[] = []
  /** How many records have left the queue: the place of its first. */
  #head = 0
  /** Places taken: queued records and those of requests in flight. */
  #taken = 0
  #dropped = 0
  #lost = 0
  #droppedReported = 0
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> | null = null
  #spilling: Promise<void> | null = null
  /** Since when the batch that is being written is being written, monotonic. */
  #attemptSince = Number.POSITIVE_INFINITY
  #failing = false
  /** The spool has refused, and is not asked again before then, monotonic. */
  #spillsFrom = Number.NEGATIVE_INFINITY
  #deadline = Number.POSITIVE_INFINITY
  readonly #closing = new AbortController()

  constructor(options: QueueRecorderOptions) {
    this.#options = options
  }

  /** Records queued or being written, and places held by requests in flight. */
  get taken(): number {
    return this.#taken
  }

  /** Records in memory that are not written yet. */
  get queued(): number {
    return this.#queue.length
  }

  /** Records of refusals that were dropped because the queue, or the spool, was more than half full. */
  get dropped(): number {
    return this.#dropped
  }

  /** Records that are nowhere: at the end, the database and the disk were both away or full. */
  get lost(): number {
    return this.#lost
  }

  reserve(): boolean {
    if (this.#taken >= this.#options.places) {
      this.#startSpilling()
      return false
    }
    this.#taken++
    return true
  }

  release(): void {
    this.#taken--
  }

  record(record: RequestRecord): void {
    let row: RecordRow
    try {
      row = rowOf(record)
    } catch (error) {
      this.#taken--
      this.#lost++
      this.#options.log.error('records.lost', { count: 1, requestId: record.id, ...errorFields(error) })
      return
    }
    this.#options.copies?.add(this.#head + this.#queue.length, row)
    this.#queue.push(row)
    if (this.#crowded) this.#startSpilling()
    this.#schedule()
  }

  recordRefusal(record: RequestRecord): void {
    if (this.#crowded || (this.#options.spool.rows > 0 && this.#options.spool.halfFull)) {
      this.#dropped++
      return
    }
    this.#taken++
    this.record(record)
  }

  countRefusal(code: string): void {
    this.#options.refusals.add(code)
    this.#schedule()
  }

  async close(deadline: number): Promise<void> {
    const { clock, log, spool } = this.#options
    this.#deadline = deadline
    const late = sleep(Math.max(0, deadline - clock.monotonic()), undefined, { signal: this.#closing.signal })
    // A database that does not answer holds the writer up for longer than that.
    await Promise.race([this.#writeOut(), late])
    this.#deadline = Number.NEGATIVE_INFINITY
    this.#closing.abort()
    await this.#spilling
    // The copies stay: the next who looks may be on another machine.
    if (this.#queue.length > 0 && !(await spool.append(this.#queue))) {
      this.#lost += this.#queue.length
      log.error('records.lost', { count: this.#queue.length })
    }
    if (spool.rows > 0) log.warn('records.spooled', { count: spool.rows })
    await spool.close()
  }

  /** Half of the places are taken: from here on it matters who takes them. */
  get #crowded(): boolean {
    return this.#taken * 2 >= this.#options.places
  }

  /** Something is to be written that came too late for the writing before. */
  get #hasMore(): boolean {
    const { refusals, spool } = this.#options
    return this.#queue.length > 0 || refusals.hasNew || spool.due
  }

  async #writeOut(): Promise<void> {
    do {
      this.#startWriting()
      while (this.#writing !== null) await this.#writing
    } while (this.#hasMore && !this.#expired)
  }

  #schedule(): void {
    if (this.#writing !== null || this.#expired) return
    if (this.#queue.length >= batchRows) this.#startWriting()
    else this.#timer ??= setTimeout(() => this.#startWriting(), flushMs)
  }

  #startWriting(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#writing !== null) return
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = null
      if (this.#hasMore) this.#schedule()
    })
  }

  /** Until what is left is too little for a batch, and nothing is spooled. */
  async #writeAll(): Promise<void> {
    const { clock, log, refusals, spool } = this.#options
    this.#reportDropped()
    let delay = firstRetryMs
    while (!this.#expired) {
      try {
        this.#attemptSince = clock.monotonic()
        await this.#writeBatch()
        // Nothing of it is in hand just now, which would only be written twice.
        if (this.#nearlyFull && this.#spilling === null) await this.#spill(() => this.#nearlyFull)
        if (spool.due && !this.#expired) await spool.replay((rows) => this.#write(rows))
        const done = this.#queue.length < batchRows && !spool.due
        if (done) await refusals.write()
        this.#failing = false
        this.#attemptSince = Number.POSITIVE_INFINITY
        if (done) return
        delay = firstRetryMs
      } catch (error) {
        this.#failing = true
        const fields = { rows: this.#queue.length, ...errorFields(error) }
        // What is no outage does not pass by itself: a table or a right is missing, and somebody has to see to it.
        if (isConnectionFault(error)) log.warn('records.write_failed', fields)
        else log.error('records.write_refused', fields)
        if (this.#crowded) this.#startSpilling()
        await sleep(delay, undefined, { signal: this.#closing.signal }).catch(() => undefined)
        delay = Math.min(longestRetryMs, delay * 2)
      }
    }
  }

  /** They stay in the queue until they are written: meanwhile they may be spooled as well, and be written twice. */
  async #writeBatch(): Promise<void> {
    const batch = this.#queue.slice(0, batchRows)
    const end = this.#head + batch.length
    await this.#options.writer.write(batch)
    this.#leave(end)
  }

  async #write(rows: readonly RecordRow[]): Promise<void> {
    this.#attemptSince = this.#options.clock.monotonic()
    await this.#options.writer.write(rows)
  }

  /** The records of the places before `place` are on a disk, and their places are free. */
  #leave(place: number): void {
    const count = place - this.#head
    if (count <= 0) return
    this.#queue.splice(0, count)
    this.#head = place
    this.#taken -= count
    this.#options.copies?.dropBefore(place)
  }

  #startSpilling(): void {
    if (!this.#stalled || this.#options.clock.monotonic() < this.#spillsFrom) return
    this.#spilling ??= this.#spill(() => this.#crowded && this.#stalled).finally(() => {
      this.#spilling = null
      if (this.#hasMore) this.#schedule()
    })
  }

  /** Moves records to the spool, the oldest first, for as long as they are too many. */
  async #spill(tooMany: () => boolean): Promise<void> {
    const { clock, spool } = this.#options
    while (this.#queue.length > 0 && tooMany()) {
      const rows = this.#queue.slice(0, spooledRows)
      const end = this.#head + rows.length
      if (!(await spool.append(rows))) {
        this.#spillsFrom = clock.monotonic() + firstRetryMs
        return
      }
      this.#leave(end)
    }
  }

  /** Records come faster than the database takes them. */
  get #nearlyFull(): boolean {
    return this.#queue.length * 4 >= this.#options.places * 3
  }

  get #stalled(): boolean {
    return this.#failing || this.#options.clock.monotonic() - this.#attemptSince > stalledAfterMs
  }

  #reportDropped(): void {
    if (this.#dropped === this.#droppedReported) return
    this.#options.log.warn('records.dropped', { count: this.#dropped - this.#droppedReported })
    this.#droppedReported = this.#dropped
  }

  get #expired(): boolean {
    return this.#options.clock.monotonic() >= this.#deadline
  }
}
