import { mkdirSync } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Clock,
  type DirectoryLock,
  errorFields,
  type Log,
  lockDataDirectory,
  type RandomBytes,
} from '@latchkey/shared'
import { batchRows } from './batch-writer.ts'
import { onDisk } from './on-disk.ts'
import type { RecordRow } from './record-row.ts'
import { readSegment, spoolLine } from './spool-segment.ts'

export interface SpoolOptions {
  /** Holds a directory for each process that has spooled. */
  readonly directory: string
  /** The most that this process keeps. 0: nothing. */
  readonly maxBytes: number
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}

interface Segment {
  readonly file: string
  rows: number
  bytes: number
  /** Monotonic. It is not read before then. */
  dueAt: number
}

interface OpenSegment {
  readonly segment: Segment
  readonly handle: FileHandle
}

/** What writes rows to Postgres, `batchRows` at the most. It throws where they are to be written again. */
export type WriteRows = (rows: readonly RecordRow[]) => Promise<void>

/** The name of a spool's files. They are read in any order. */
export const segmentName = /^[0-9]{6}\.rows$/

// One is in memory while it is written to Postgres.
const fullSegmentBytes = 2 ** 20
/** A file that can't be read or removed is tried again after so long. */
const lookAgainMs = 60_000

/**
 * Records that wait on the local disk while Postgres is away or slow and memory has run short: files that are only ever
 * appended to, in a directory that this process has locked for as long as it lives. What is in them when it dies is
 * written by whichever process finds the lock free.
 */
export class Spool {
  readonly #options: SpoolOptions
  #lock: DirectoryLock | null = null
  /** Oldest first; the last may be open. */
  #segments: Segment[] = []
  #open: OpenSegment | null = null
  #made = 0
  #failing = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: SpoolOptions) {
    this.#options = options
  }

  /** Records that wait here. */
  get rows(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.rows, 0)
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0)
  }

  /** Whether half of the room is taken, or there is none. */
  get halfFull(): boolean {
    return this.bytes * 2 >= this.#options.maxBytes
  }

  /**
   * Appends rows and resolves with true once they are on the disk; with false where they are not: the spool is full,
   * or the disk can't be written. Then a part of them may be here all the same, which does no harm.
   */
  append(rows: readonly RecordRow[]): Promise<boolean> {
    return this.#inTurn(() => this.#append(rows))
  }

  /** Whether there is something to replay now. */
  get due(): boolean {
    return this.#firstDue() !== undefined
  }

  /**
   * Writes the rows of the oldest file that is due to Postgres and removes it. Throws what `write` throws; then it stays.
   * One that can't be read or removed holds up no other: it is due again in a minute.
   */
  async replay(write: WriteRows): Promise<void> {
    const { clock, log } = this.#options
    const segment = this.#firstDue()
    if (segment === undefined) return
    // What is appended from here on goes into another file.
    if (this.#open?.segment === segment) await this.#inTurn(() => this.#finish())
    const rows = await replaySegment(segment.file, write, log)
    if (rows === null) segment.dueAt = clock.monotonic() + lookAgainMs
    else {
      this.#segments = this.#segments.filter((other) => other !== segment)
      log.info('spool.replayed', { rows })
    }
  }

  /** Lets go of the directory, and removes it where nothing is left in it. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#finish()
      if (this.#lock !== null && this.#segments.length === 0)
        await rm(this.#lock.directory, { recursive: true, force: true })
      this.#lock?.release()
      this.#lock = null
    })
  }

  #firstDue(): Segment | undefined {
    const now = this.#options.clock.monotonic()
    return this.#segments.find(({ dueAt }) => dueAt <= now)
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  async #append(rows: readonly RecordRow[]): Promise<boolean> {
    const { maxBytes, log } = this.#options
    // A full one is asked again and again, and must not cost more than the question.
    const text = this.bytes < maxBytes ? rows.map(spoolLine).join('') : ''
    const bytes = Buffer.byteLength(text)
    if (this.bytes >= maxBytes || this.bytes + bytes > maxBytes) {
      if (!this.#failing && maxBytes > 0) log.error('spool.full', { bytes: this.bytes })
      this.#failing = true
      return false
    }
    try {
      const { segment, handle } = await this.#openSegment()
      // Counted first: what is on the disk after a failure takes its room.
      segment.bytes += bytes
      segment.rows += rows.length
      await handle.appendFile(text)
      await handle.datasync()
      if (segment.bytes >= fullSegmentBytes) await this.#finish()
      this.#failing = false
      return true
    } catch (error) {
      if (!this.#failing) log.error('spool.failed', errorFields(error))
      this.#failing = true
      // Its last line may be half a line: nothing may come after it.
      await this.#finish().catch(() => undefined)
      return false
    }
  }

  async #openSegment(): Promise<OpenSegment> {
    if (this.#open !== null) return this.#open
    this.#lock ??= this.#takeDirectory()
    const { directory } = this.#lock
    const file = join(directory, `${String(this.#made++).padStart(6, '0')}.rows`)
    const handle = await open(file, 'ax', 0o600)
    this.#open = { segment: { file, rows: 0, bytes: 0, dueAt: Number.NEGATIVE_INFINITY }, handle }
    this.#segments.push(this.#open.segment)
    await syncDirectory(directory)
    return this.#open
  }

  #takeDirectory(): DirectoryLock {
    const { directory, random } = this.#options
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    return lockDataDirectory(join(directory, Buffer.from(random(6)).toString('hex')))
  }

  async #finish(): Promise<void> {
    const opened = this.#open
    this.#open = null
    await opened?.handle.close()
  }
}

/**
 * Writes the rows of a spool's file to Postgres and removes it. Null: it could not be read or removed, and is still there.
 * Throws what `write` throws.
 */
export async function replaySegment(file: string, write: WriteRows, log: Log): Promise<number | null> {
  const segment = await onDisk(file, log, () => readSegment(file))
  if (segment === null) return null
  const { rows, damaged } = segment
  if (damaged > 0) log.error('spool.damaged', { file, count: damaged })
  for (let at = 0; at < rows.length; at += batchRows) await write(rows.slice(at, at + batchRows))
  return onDisk(file, log, async () => {
    await rm(file, { force: true })
    return rows.length
  })
}

/** A file's name is on the disk only once its directory is. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
