import {
  type Database,
  formatUsd,
  isUuid,
  LatchkeyError,
  type OrganizationId,
  type ProxyKeyId,
  parseProxyKeyId,
  type RequestDetailWire,
  type RequestsQuery,
  type RequestsWire,
  type RequestWire,
} from '@latchkey/shared'
import type { Kysely } from 'kysely'
import { decodeCursor, encodeCursor, invalidCursor } from '../cursor.ts'
import {
  findRequest,
  keptBodies,
  latestRequests,
  type RecordingPlace,
  type RequestRow,
  requestsWrittenAfter,
  settledTransaction,
} from './queries.ts'
import { readRequestId } from './request-id.ts'

/** Sorts before every id: a place at the very beginning of a transaction. */
const beforeEveryId = '00000000-0000-0000-0000-000000000000'

/** The latest records, or those written since the cursor `after`, with the cursor to go on from. */
export async function listRequests(
  database: Kysely<Database>,
  organizationId: OrganizationId,
  query: RequestsQuery,
): Promise<RequestsWire> {
  const filter = { organizationId, keyId: query.key === undefined ? undefined : readKeyId(query.key) }
  // Asked before the records are: what is written in between is then given again rather than never.
  const settled = await settledTransaction(database)
  const end = { transaction: settled, id: beforeEveryId }
  if (query.after === undefined) {
    const rows = await latestRequests(database, filter, query.limit)
    return { data: rows.reverse().map(toWire), cursor: encodePlace(end) }
  }
  const rows = await requestsWrittenAfter(database, filter, decodePlace(query.after), settled, query.limit)
  const last = rows.at(-1)
  const place =
    last !== undefined && rows.length === query.limit ? { transaction: last.recorded_in, id: last.id } : end
  return { data: rows.map(toWire), cursor: encodePlace(place) }
}

/** One record, with which of its bodies were kept. Throws `not_found`. */
export async function showRequest(
  database: Kysely<Database>,
  organizationId: OrganizationId,
  which: string,
): Promise<RequestDetailWire> {
  const id = readRequestId(which)
  const row = await findRequest(database, organizationId, id)
  if (row === undefined)
    throw new LatchkeyError('not_found', { message: 'There is no request of this id.', param: 'id' })
  return { ...toWire(row), bodies: await keptBodies(database, organizationId, id) }
}

function readKeyId(text: string): ProxyKeyId {
  const id = parseProxyKeyId(text)
  if (id !== null) return id
  throw new LatchkeyError('invalid_request', { message: 'key must be the id of a proxy key.', param: 'key' })
}

function encodePlace(place: RecordingPlace): string {
  return encodeCursor([place.transaction, place.id])
}

function decodePlace(cursor: string): RecordingPlace {
  const [transaction = '', id = ''] = decodeCursor(cursor, 2, 'after')
  if (!/^[0-9]{1,19}$/.test(transaction) || !isUuid(id)) throw invalidCursor('after')
  return { transaction, id }
}

function toWire(row: RequestRow): RequestWire {
  return {
    id: row.id,
    keyId: row.proxy_key_id,
    keyName: row.proxy_key_name,
    groupId: row.group_id,
    providerKeyId: row.provider_key_id,
    provider: row.provider,
    method: row.method,
    endpoint: row.endpoint,
    model: row.model,
    responseModel: row.response_model,
    status: row.status,
    code: row.code,
    attempts: row.attempts,
    inputTokens: toCount(row.input_tokens),
    cachedInputTokens: toCount(row.cached_input_tokens),
    outputTokens: toCount(row.output_tokens),
    reasoningTokens: toCount(row.reasoning_tokens),
    inputAudioTokens: toCount(row.input_audio_tokens),
    outputAudioTokens: toCount(row.output_audio_tokens),
    usageMissing: row.usage_missing,
    streamed: row.streamed,
    disconnected: row.disconnected,
    truncated: row.truncated,
    requestBytes: Number(row.request_bytes),
    responseBytes: Number(row.response_bytes),
    timeToFirstByteMs: row.time_to_first_byte_ms,
    durationMs: row.duration_ms,
    clientIp: row.client_ip,
    userId: row.user_id,
    sessionId: row.session_id,
    properties: row.properties,
    startedAt: row.started_at.toISOString(),
    costUsd: row.cost_nano === null ? null : formatUsd(row.cost_nano),
    heldUsd: row.held_nano === null ? null : formatUsd(row.held_nano),
    estimated: row.estimated,
    priceVersion: row.price_version,
  }
}

/** Token and byte counts are far below 2^53, where numbers stop being exact. */
function toCount(count: bigint | null): number | null {
  return count === null ? null : Number(count)
}
