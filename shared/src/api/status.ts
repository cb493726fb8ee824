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
