import { z } from 'zod'

const common = {
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
}

/** What a load process is told to do. One task at a time; durations in milliseconds. */
export const taskShape = z.discriminatedUnion('kind', [
  /**
   * Opens `streams` of them over `rampMs`, and looks at their events for `forMs`, `settleMs` after that. What has not ended
   * `graceMs` later is broken off.
   */
  z.object({
    ...common,
    kind: z.literal('streams'),
    streams: z.number(),
    rampMs: z.number(),
    settleMs: z.number(),
    forMs: z.number(),
    graceMs: z.number(),
  }),
  /** Sends at a fixed rate, whatever comes of it, and looks at what is sent in the last `forMs`. `graceMs` as above. */
  z.object({
    ...common,
    kind: z.literal('steady'),
    perSecond: z.number(),
    settleMs: z.number(),
    forMs: z.number(),
    graceMs: z.number(),
  }),
  /** Sends requests of these bodies in turn, `atOnce` of them at once, and leaves one in `leaveEvery` before its end. */
  z.object({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    kind: z.literal('mixed'),
    bodies: z.array(z.string()),
    atOnce: z.number(),
    leaveEvery: z.number(),
    forMs: z.number(),
  }),
  /** Sends one request with each key, a few at once. */
  z.object({ ...common, kind: z.literal('each-key'), keys: z.array(z.string()), atOnce: z.number() }),
])
export type LoadTask = z.infer<typeof taskShape>

/** What a load process says of its task. Between `begun` and `ended` lies what it looks at. */
export const newsShape = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('begun') }),
  z.object({
    kind: z.literal('ended'),
    /** Events of streams, or answers. */
    count: z.number(),
    seconds: z.number(),
    /** Microseconds: the delay of an event, or the time of an answer. */
    p50: z.number(),
    p99: z.number(),
  }),
  /** All it has opened has come to its end. */
  z.object({ kind: z.literal('done'), failed: z.number(), sent: z.number() }),
])
export type LoadNews = z.infer<typeof newsShape>
