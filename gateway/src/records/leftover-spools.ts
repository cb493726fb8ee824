import { type Dirent, readdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Clock,
  type DirectoryLock,
  errorCode,
  LatchkeyError,
  type Log,
  lockDataDirectory,
} from '@latchkey/shared'
import type { BatchWriter } from './batch-writer.ts'
import { onDisk } from './on-disk.ts'
import { replaySegment, segmentName } from './spool.ts'
import type { Leftovers } from './take-over.ts'

export interface LeftoverSpoolsOptions {
  /** That of `Spool`. */
  readonly directory: string
  readonly writer: BatchWriter
  readonly clock: Clock
  readonly log: Log
}

// A process that has made its directory has not locked it yet.
const abandonedAfterMs = 60_000

/**
 * What processes of this machine have spooled and left behind. Those whose lock is held are alive, and are left
 * alone.
 */
export class LeftoverSpools implements Leftovers {
  readonly name = 'spool'
  readonly #options: LeftoverSpoolsOptions

  constructor(options: LeftoverSpoolsOptions) {
    this.#options = options
  }

  /**
   * Throws what the database throws, and where `directory` can't be listed. What else the disk does not let it do is
   * logged, and tried again at the next look.
   */
  async replay(): Promise<void> {
    const { directory, clock, log } = this.#options
    let rows = 0
    for (const spool of spools(directory)) {
      const lock = await onDisk(spool, log, () => (isFresh(spool, clock) ? null : lockDead(spool)))
      if (lock === null) continue
      try {
        rows += await this.#replaySpool(spool)
      } finally {
        lock.release()
      }
    }
    if (rows > 0) log.warn('spool.taken_over', { rows })
  }

  async #replaySpool(spool: string): Promise<number> {
    const { writer, log } = this.#options
    const names = await onDisk(spool, log, () => segments(spool))
    let rows = 0
    let isEmpty = names !== null
    for (const name of names ?? []) {
      const written = await replaySegment(join(spool, name), (batch) => writer.write(batch), log)
      if (written === null) isEmpty = false
      else rows += written
    }
    // Under the lock, or another process would take what is being removed for its own.
    if (isEmpty) await onDisk(spool, log, () => rm(spool, { recursive: true, force: true }))
    return rows
  }
}

/** Whether it holds nothing yet and is so young that its maker may be about to lock it. */
function isFresh(spool: string, clock: Clock): boolean {
  try {
    return segments(spool).length === 0 && clock.now() - statSync(spool).mtimeMs < abandonedAfterMs
  } catch (error) {
    // Somebody else has just taken it.
    if (errorCode(error) === 'ENOENT') return true
    throw error
  }
}

function lockDead(spool: string): DirectoryLock | null {
  try {
    return lockDataDirectory(spool)
  } catch (error) {
    if (error instanceof LatchkeyError && error.code === 'directory_locked') return null
    throw error
  }
}

function spools(directory: string): readonly string[] {
  return entries(directory)
    .filter((entry) => !entry.isFile())
    .map(({ name }) => join(directory, name))
    .toSorted()
}

function segments(spool: string): readonly string[] {
  return entries(spool)
    .map(({ name }) => name)
    .filter((name) => segmentName.test(name))
    .toSorted()
}

function entries(directory: string): readonly Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}
