import { z } from 'zod'
import { timestamp } from './fields.ts'

/** The request records of one process: as of now, or counted since its start. */
const recordFiguresWire = z.object({
  /** Places taken by records in memory and by requests in flight, of so many. */
  taken: z.number().int(),
  places: z.number().int(),
  /** Records in memory that are not written yet. */
  queued: z.number().int(),
  /** Records that wait on the local disk, and their bytes. */
  spooled: z.number().int(),
  spooledBytes: z.number().int(),
  /** Records of refusals that were not kept, because the queue was more than half full. */
  dropped: z.number().int(),
  /** Records that the database would not take as they were. */
  deadLetters: z.number().int(),
  /** Records of which nothing could be written. */
  lost: z.number().int(),
  /** Records without a copy for other processes, because Redis was away. */
  notCopied: z.number().int(),
  /** Records of dead processes that this one has found in Redis. */
  takenOver: z.number().int(),
})

/** One of the processes that serve on the same ports. */
const workerWire = z.object({
  /** From 1 on. Whoever takes the place of one that died has its number. */
  worker: z.number().int(),
  /** Null while there is none, between a death and the next start. */
  pid: z.number().int().nullable(),
  /** How often its place was filled again. */
  restarts: z.number().int(),
  /** What it tells of itself; null where it does not serve yet, or did not answer within a second. */
  self: z
    .object({
      startedAt: timestamp,
      draining: z.boolean(),
      sealed: z.boolean(),
      records: recordFiguresWire,
    })
    .nullable(),
})
export type WorkerWire = z.infer<typeof workerWire>

/** `GET /api/status`: the running gateway, its vault and its database. */
export const statusWire = z.object({
  version: z.string(),
  pid: z.number().int(),
  startedAt: timestamp,
  /** The gateway's clock as it answered. */
  now: timestamp,
  /** Where applications send their requests, without a path. */
  dataUrl: z.string(),
  draining: z.boolean(),
  /** Whose Postgres it is: the gateway's own (`embedded`), or that of `DATABASE_URL` (`server`). */
  mode: z.enum(['embedded', 'server']),
  records: recordFiguresWire,
  /** The processes that serve on the same ports, in the order of their numbers; null: this one serves alone there. */
  workers: z.array(workerWire).nullable(),
  vault: z.object({ sealed: z.boolean() }),
  database: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('reachable'),
      version: z.string(),
      /** One round trip. */
      pingMs: z.number(),
      now: timestamp,
    }),
    z.object({ kind: z.literal('unreachable') }),
  ]),
})
export type StatusWire = z.infer<typeof statusWire>
