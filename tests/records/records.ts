import { join } from 'node:path'
import { type Clock, createLog, type Log, systemClock, systemRandom } from '@latchkey/shared'
import type pg from 'pg'
import { BatchWriter } from '../../gateway/src/records/batch-writer.ts'
import type { CrashCopies } from '../../gateway/src/records/crash-copies.ts'
import { QueueRecorder } from '../../gateway/src/records/queue-recorder.ts'
import { RefusalCounts } from '../../gateway/src/records/refusal-counts.ts'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'
import { Spool } from '../../gateway/src/records/spool.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

export interface RecorderSetup {
  readonly places: number
  readonly spoolBytes?: number
  readonly spoolDirectory?: string
  readonly copies?: CrashCopies
  readonly log?: Log
  readonly clock?: Clock
}

export interface TestRecorder {
  readonly recorder: QueueRecorder
  readonly writer: BatchWriter
  readonly spool: Spool
  /** Holds the directories of all spools. */
  readonly spoolDirectory: string
}

/** A recorder as a process has it. Whoever makes it closes it. */
export function recorderOn(pool: pg.Pool, setup: RecorderSetup): TestRecorder {
  const {
    places,
    spoolBytes = 2 ** 26,
    copies = null,
    log = createLog('silent'),
    clock = systemClock,
  } = setup
  const spoolDirectory = setup.spoolDirectory ?? join(temporaryDirectory(), 'spool')
  const writer = new BatchWriter({ pool, clock, log })
  const spool = new Spool({
    ...{ directory: spoolDirectory, maxBytes: spoolBytes },
    ...{ clock, random: systemRandom, log },
  })
  const refusals = new RefusalCounts({ pool, clock, log })
  const recorder = new QueueRecorder({ writer, refusals, spool, copies, places, clock, log })
  return { recorder, writer, spool, spoolDirectory }
}

/** Takes a place for each record, and records it. */
export function recordAll(recorder: QueueRecorder, records: readonly RequestRecord[]): void {
  for (const each of records) {
    if (!recorder.reserve()) throw new Error('no place is left')
    recorder.record(each)
  }
}

export const soon = () => systemClock.monotonic() + 5_000

export async function idsWritten(pool: pg.Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM request ORDER BY id')
  return rows.map(({ id }) => id)
}
