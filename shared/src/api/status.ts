import { z } from 'zod'
import { timestamp } from './fields.ts'

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
  /** The request records of this process: as of now, or counted since its start. */
  records: z.object({
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
  }),
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
