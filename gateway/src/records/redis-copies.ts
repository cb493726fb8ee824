import { type Clock, type DeploymentId, type EpochId, errorFields, type Log } from '@latchkey/shared'
import { copyStream, entryId, mostRowsTogether, type RedisClient, rowsField } from './copy-stream.ts'
import type { CrashCopies } from './crash-copies.ts'
import { type RecordRow, rowsText } from './record-row.ts'

export interface RedisCopiesOptions {
  readonly client: RedisClient
  readonly deployment: DeploymentId
  /** The epoch of now of this process. */
  readonly epoch: () => EpochId
  readonly clock: Clock
  readonly log: Log
}

/** Copies on their way: beyond that Redis is too slow, and memory is worth more. */
const mostUnanswered = 5_000
/** Streams that nobody takes over, as when the database was thrown away, do not stay for ever. */
const keptSeconds = 7 * 86_400
const renewEveryMs = 3_600_000

interface Entry {
  readonly rows: RecordRow[]
  /** The place of the last of them. */
  last: number
}

/**
 * Crash copies on a Redis Stream. What comes in one tick, or until Redis has answered for those before, is sent in one
 * go, in few entries: a copy is none before that answer anyhow. The answers are only counted: while Redis is away there
 * are no copies, and nothing else is missing.
 */
export class RedisCopies implements CrashCopies {
  readonly #options: RedisCopiesOptions
  #pending: Entry[] = []
  #dropBefore: number | null = null
  #unanswered = 0
  #skipped = 0
  /** Something is to be sent in this tick, or has not been answered. */
  #busy = false
  #failing = false
  #renewedAt = Number.NEGATIVE_INFINITY

  constructor(options: RedisCopiesOptions) {
    this.#options = options
  }

  /** Records that have, or had, no copy. */
  get skipped(): number {
    return this.#skipped
  }

  /** Copies that Redis has not acknowledged yet. */
  get unanswered(): number {
    return this.#unanswered
  }

  add(place: number, row: RecordRow): void {
    if (this.#unanswered >= mostUnanswered || this.#options.client.status !== 'ready') {
      this.#skipped++
      return
    }
    this.#unanswered++
    const entry = this.#pending.at(-1)
    if (entry === undefined || entry.rows.length === mostRowsTogether)
      this.#pending.push({ rows: [row], last: place })
    else {
      entry.rows.push(row)
      entry.last = place
    }
    this.#schedule()
  }

  dropBefore(place: number): void {
    this.#dropBefore = place
    this.#schedule()
  }

  #schedule(): void {
    if (this.#busy) return
    this.#busy = true
    setImmediate(() => void this.#send().finally(() => this.#goOn()))
  }

  #goOn(): void {
    this.#busy = false
    if (this.#pending.length > 0 || this.#dropBefore !== null) this.#schedule()
  }

  async #send(): Promise<void> {
    const { client, deployment, epoch, clock } = this.#options
    const stream = copyStream(deployment, epoch())
    const entries = this.#pending
    const dropBefore = this.#dropBefore
    this.#pending = []
    this.#dropBefore = null
    const commands = client.pipeline()
    for (const { rows, last } of entries) commands.xadd(stream, entryId(last), rowsField, rowsText(rows))
    if (dropBefore !== null) commands.xtrim(stream, 'MINID', entryId(dropBefore))
    if (clock.monotonic() - this.#renewedAt >= renewEveryMs) {
      this.#renewedAt = clock.monotonic()
      commands.expire(stream, keptSeconds)
    }
    const errors = await errorsOf(commands.exec(), commands.length)
    for (const [at, { rows }] of entries.entries()) {
      this.#unanswered -= rows.length
      if (errors[at] !== null) this.#skipped += rows.length
    }
    this.#report(errors.find((error) => error !== null))
  }

  #report(error: unknown): void {
    if (error === undefined) this.#failing = false
    else if (!this.#failing) {
      this.#failing = true
      this.#options.log.warn('records.copies_failed', errorFields(error))
    }
  }
}

/**
 * What went wrong with each of the `count` commands of a pipeline, or null. It rejects as a whole where it could not be
 * sent.
 */
async function errorsOf(
  results: Promise<readonly (readonly [Error | null, unknown])[] | null>,
  count: number,
): Promise<readonly unknown[]> {
  try {
    return ((await results) ?? []).map(([error]) => error)
  } catch (error) {
    return Array.from({ length: count }, () => error)
  }
}
