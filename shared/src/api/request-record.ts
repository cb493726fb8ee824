import { z } from 'zod'
import { bodyDirections } from '../database/tables.ts'
import { timestamp } from './fields.ts'
import { pageLimitMost, pageOf } from './page.ts'

const count = z.number().int().nullable()

/** One proxied request. Tokens are null where the provider gave none; durations are milliseconds. */
export const requestWire = z.object({
  id: z.string(),
  keyId: z.string(),
  keyName: z.string(),
  /** The key's group when the request was made. */
  groupId: z.string().nullable(),
  providerKeyId: z.string().nullable(),
  provider: z.string().nullable(),
  method: z.string(),
  endpoint: z.string(),
  /** Asked for, and answered with. */
  model: z.string().nullable(),
  responseModel: z.string().nullable(),
  status: z.number().int(),
  /** The catalogue's code where the gateway refused or failed the request. */
  code: z.string().nullable(),
  attempts: z.number().int(),
  inputTokens: count,
  cachedInputTokens: count,
  outputTokens: count,
  reasoningTokens: count,
  inputAudioTokens: count,
  outputAudioTokens: count,
  /** Usage was expected and not seen: the tokens are unknown, not zero. */
  usageMissing: z.boolean(),
  streamed: z.boolean(),
  /** The client left before its answer had ended. */
  disconnected: z.boolean(),
  /** The provider broke off after its answer had begun. */
  truncated: z.boolean(),
  requestBytes: z.number().int(),
  responseBytes: z.number().int(),
  timeToFirstByteMs: z.number().nullable(),
  durationMs: z.number(),
  clientIp: z.string(),
  userId: z.string().nullable(),
  sessionId: z.string().nullable(),
  properties: z.record(z.string(), z.string()),
  startedAt: timestamp,
  /** Dollars, as a decimal string; null where no price is known. */
  costUsd: z.string().nullable(),
  /** The most that it could have cost, which its budgets held; null where it counted in none. */
  heldUsd: z.string().nullable(),
  /** The provider's own figure is not known: the cost is what was held, or by the dearest price. */
  estimated: z.boolean(),
  /** The version of the prices that it was charged by. */
  priceVersion: z.string().nullable(),
})
export type RequestWire = z.infer<typeof requestWire>

/**
 * `GET /api/requests`. Without `after`: the latest `limit` records by start, newest last. With it: the
 * records written since the answer that gave this cursor, in the order in which they were written.
 */
export const requestsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(pageLimitMost).default(100),
  after: z.string().min(1).max(512).optional(),
  /** The id of a proxy key. */
  key: z.string().min(1).max(64).optional(),
})
export type RequestsQuery = z.infer<typeof requestsQuery>

/** `cursor` goes into the next request's `after`: each record written later is given exactly once. */
export const requestsWire = z.object({ data: z.array(requestWire), cursor: z.string() })
export type RequestsWire = z.infer<typeof requestsWire>

/** Refused requests whose key is not known, counted per code and minute. */
export const refusalWire = z.object({ minute: timestamp, code: z.string(), count: z.number().int() })
export type RefusalWire = z.infer<typeof refusalWire>

export const refusalPageWire = pageOf(refusalWire)

/** A captured body of a request, redacted. */
const requestBodyWire = z.object({
  /** Without parameters; '' where none was said. */
  mediaType: z.string(),
  /** Of the whole body as it passed. */
  bytes: z.number().int(),
  /** Whether more has passed than is kept. */
  truncated: z.boolean(),
  /** Of a multipart form, its text fields as JSON. Null: it was no text, of which nothing is kept. */
  text: z.string().nullable(),
})
export type RequestBodyWire = z.infer<typeof requestBodyWire>

/** `GET /api/requests/:id/bodies`. Null: none was kept. */
export const requestBodiesWire = z.object({
  request: requestBodyWire.nullable(),
  response: requestBodyWire.nullable(),
})
export type RequestBodiesWire = z.infer<typeof requestBodiesWire>

/** `GET /api/requests/:id`: with which bodies were kept. */
export const requestDetailWire = requestWire.extend({
  bodies: z.array(z.enum(bodyDirections)),
})
export type RequestDetailWire = z.infer<typeof requestDetailWire>
