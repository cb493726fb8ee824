import type { Clock, DeploymentId, EpochId, Log, RandomBytes, StatusWire } from '@latchkey/shared'
import type { Config } from '../config.ts'
import { BatchWriter } from '../records/batch-writer.ts'
import type { RedisClient } from '../records/copy-stream.ts'
import { LeftoverCopies } from '../records/leftover-copies.ts'
import { LeftoverSpools } from '../records/leftover-spools.ts'
import { keepPartitions } from '../records/partitions.ts'
import { QueueRecorder } from '../records/queue-recorder.ts'
import type { Recorder } from '../records/recorder.ts'
import { RedisCopies } from '../records/redis-copies.ts'
import { RefusalCounts } from '../records/refusal-counts.ts'
import { Spool } from '../records/spool.ts'
import { TakeOver } from '../records/take-over.ts'
import { LeaderJob } from './leader-job.ts'
import type { Storage } from './storage.ts'

export interface RecordsSurroundings {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}

export type RecordFigures = StatusWire['records']

/** A Redis that processes share, and by what their streams on it are named. */
export interface CopyStreams {
  readonly client: RedisClient
  readonly deployment: DeploymentId
  /** That of now of this process. It is asked for with the first record. */
  readonly epoch: () => EpochId
}

/** The keeping of records in this process. */
export interface Records {
  readonly recorder: Recorder
  /** Writes what the processes of these epochs left behind. For the sweeper; never throws. */
  beforeSweep(epochs: readonly EpochId[]): Promise<void>
  figures(): RecordFigures
  /** Looks for what dead processes left behind, and keeps the partitions, from now on. */
  start(): void
  /** Writes what is queued; what can't be written by `deadline` (monotonic ms) goes to the spool. */
  close(deadline: number): Promise<void>
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Opens nothing yet: a spool is made when it is needed. Without a stream, records have no copies. */
export function openRecords(
  config: Config,
  { database }: Storage,
  stream: CopyStreams | null,
  { clock, random, log }: RecordsSurroundings,
): Records {
  const { pool } = database
  const writer = new BatchWriter({ pool, clock, log })
  const spool = new Spool({
    directory: config.spoolDirectory,
    maxBytes: config.spoolBytes,
    clock,
    random,
    log,
  })
  const places = config.recordQueuePlaces
  const copies = stream === null ? null : new RedisCopies({ ...stream, clock, log })
  const leftoverCopies = stream === null ? null : new LeftoverCopies({ ...stream, pool, writer, log })
  const recorder = new QueueRecorder({
    writer,
    refusals: new RefusalCounts({ pool, clock, log }),
    spool,
    copies,
    places,
    clock,
    log,
  })
  const takeOver = new TakeOver({
    places: [
      new LeftoverSpools({ directory: config.spoolDirectory, writer, clock, log }),
      ...(leftoverCopies === null ? [] : [leftoverCopies]),
    ],
    log,
    every: minuteMs,
  })
  const partitions = new LeaderJob({
    name: 'record partitions',
    pool,
    log,
    every: hourMs,
    retryAfter: minuteMs,
    run: (client) => keepPartitions(client, { retentionDays: config.retentionDays, log }),
  })
  return {
    recorder,
    beforeSweep: (epochs) => takeOver.beforeSweep(epochs),
    figures: () => ({
      taken: recorder.taken,
      places,
      queued: recorder.queued,
      spooled: spool.rows,
      spooledBytes: spool.bytes,
      dropped: recorder.dropped,
      deadLetters: writer.deadLetters,
      lost: recorder.lost + writer.lost,
      notCopied: copies?.skipped ?? 0,
      takenOver: leftoverCopies?.takenOver ?? 0,
    }),
    start() {
      partitions.start()
      takeOver.start()
    },
    async close(deadline) {
      takeOver.close()
      await partitions.close()
      await recorder.close(deadline)
    },
  }
}
