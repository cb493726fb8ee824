import { setImmediate as nextTurn } from 'node:timers/promises'
import type pg from 'pg'
import type { RequestRecord } from './request-record.ts'

/** What is written: each column and its type in Postgres. */
const columnTypes = {
  id: 'uuid',
  organization_id: 'uuid',
  proxy_key_id: 'text',
  proxy_key_name: 'text',
  provider_key_id: 'uuid',
  provider: 'text',
  method: 'text',
  endpoint: 'text',
  model: 'text',
  response_model: 'text',
  status: 'integer',
  code: 'text',
  attempts: 'integer',
  input_tokens: 'bigint',
  cached_input_tokens: 'bigint',
  output_tokens: 'bigint',
  reasoning_tokens: 'bigint',
  input_audio_tokens: 'bigint',
  output_audio_tokens: 'bigint',
  usage_missing: 'boolean',
  streamed: 'boolean',
  disconnected: 'boolean',
  truncated: 'boolean',
  request_bytes: 'bigint',
  response_bytes: 'bigint',
  time_to_first_byte_ms: 'double precision',
  duration_ms: 'double precision',
  client_ip: 'text',
  user_id: 'text',
  session_id: 'text',
  properties: 'jsonb',
  started_at: 'timestamptz',
} as const

/** A record as a row. One literal, since JSON.stringify is fast on objects of one shape. */
function row(record: RequestRecord): Readonly<Record<keyof typeof columnTypes, unknown>> {
  const { usage } = record
  return {
    id: record.id,
    organization_id: record.organizationId,
    proxy_key_id: record.keyId,
    proxy_key_name: record.keyName,
    provider_key_id: record.providerKeyId,
    provider: record.provider,
    method: record.method,
    endpoint: record.endpoint,
    model: record.model,
    response_model: record.responseModel,
    status: record.status,
    code: record.code,
    attempts: record.attempts,
    input_tokens: usage?.inputTokens ?? null,
    cached_input_tokens: usage?.cachedInputTokens ?? null,
    output_tokens: usage?.outputTokens ?? null,
    reasoning_tokens: usage?.reasoningTokens ?? null,
    input_audio_tokens: usage?.inputAudioTokens ?? null,
    output_audio_tokens: usage?.outputAudioTokens ?? null,
    usage_missing: record.usageMissing,
    streamed: record.streamed,
    disconnected: record.disconnected,
    truncated: record.truncated,
    request_bytes: record.requestBytes,
    response_bytes: record.responseBytes,
    time_to_first_byte_ms: record.timeToFirstByteMs,
    duration_ms: record.durationMs,
    client_ip: record.clientIp,
    user_id: record.userId,
    session_id: record.sessionId,
    properties: record.properties,
    started_at: new Date(record.startedAt),
  }
}

const names = Object.keys(columnTypes).join(', ')
const types = Object.entries(columnTypes)
  .map(([column, type]) => `${column} ${type}`)
  .join(', ')

// One parameter, whatever the number of rows: JSON.stringify is the fastest way that JavaScript has
// to make a text of them, and Postgres takes it apart outside our event loop. Records come at least
// once, so a second one of the same id is no error. The keys' last use is kept to the minute.
const insert = `
WITH batch AS (SELECT ${names} FROM json_to_recordset($1::json) AS row (${types})),
inserted AS (INSERT INTO request (${names}) SELECT ${names} FROM batch ON CONFLICT (id) DO NOTHING),
used AS (SELECT proxy_key_id, max(started_at) AS at FROM batch GROUP BY proxy_key_id),
used_provider AS (SELECT provider_key_id, max(started_at) AS at FROM batch WHERE provider_key_id IS NOT NULL GROUP BY provider_key_id),
touched AS (
  UPDATE proxy_key SET last_used_at = used.at FROM used
  WHERE proxy_key.id = used.proxy_key_id AND (last_used_at IS NULL OR last_used_at < used.at - interval '1 minute')
)
UPDATE provider_key SET last_used_at = used_provider.at FROM used_provider
WHERE provider_key.id = used_provider.provider_key_id AND (last_used_at IS NULL OR last_used_at < used_provider.at - interval '1 minute')`

/** Writes records in one statement. Throws the driver's error; then none is written. */
export async function insertRecords(pool: pg.Pool, records: readonly RequestRecord[]): Promise<void> {
  await pool.query({ name: 'insert-requests', text: insert, values: [await toJson(records)] })
}

/** The records as one JSON array, made a hundred at a time: no request in flight waits for five hundred. */
async function toJson(records: readonly RequestRecord[]): Promise<string> {
  const parts: string[] = []
  for (let at = 0; at < records.length; at += 100) {
    if (at > 0) await nextTurn()
    parts.push(JSON.stringify(records.slice(at, at + 100).map(row)).slice(1, -1))
  }
  return `[${parts.join(',')}]`
}

/** Adds to the counts of refused requests, one row per code and minute. Throws the driver's error. */
export async function addRefusals(pool: pg.Pool, counts: readonly RefusalCount[]): Promise<void> {
  await pool.query({
    name: 'add-refusals',
    text: `INSERT INTO refusal (minute, code, count)
           SELECT minute, code, count FROM json_to_recordset($1::json) AS row (minute timestamptz, code text, count bigint)
           ON CONFLICT (minute, code) DO UPDATE SET count = refusal.count + excluded.count`,
    values: [JSON.stringify(counts)],
  })
}

/** How often a code was given within the minute that begins at `minute` (ISO 8601). */
export interface RefusalCount {
  readonly minute: string
  readonly code: string
  readonly count: number
}
