import { type Branded, isUuid, type RequestId, type StoredSettlement } from '@latchkey/shared'
import { storedSettlements } from '../budget/settle.ts'
import type { RequestRecord } from './request-record.ts'

export type ColumnType =
  | 'uuid'
  | 'text'
  | 'integer'
  | 'bigint'
  | 'boolean'
  | 'double precision'
  | 'jsonb'
  | 'timestamptz'

export interface Column {
  readonly type: ColumnType
  /** NOT NULL. */
  readonly required: boolean
}

const required = (type: ColumnType): Column => ({ type, required: true })
const optional = (type: ColumnType): Column => ({ type, required: false })

/** What is written of a record: the columns of `request` but for those that Postgres fills in. */
export const recordColumns = {
  id: required('uuid'),
  organization_id: required('uuid'),
  proxy_key_id: required('text'),
  proxy_key_name: required('text'),
  provider_key_id: optional('uuid'),
  provider: optional('text'),
  method: required('text'),
  endpoint: required('text'),
  model: optional('text'),
  response_model: optional('text'),
  status: required('integer'),
  code: optional('text'),
  attempts: required('integer'),
  input_tokens: optional('bigint'),
  cached_input_tokens: optional('bigint'),
  output_tokens: optional('bigint'),
  reasoning_tokens: optional('bigint'),
  input_audio_tokens: optional('bigint'),
  output_audio_tokens: optional('bigint'),
  usage_missing: required('boolean'),
  streamed: required('boolean'),
  disconnected: required('boolean'),
  truncated: required('boolean'),
  request_bytes: required('bigint'),
  response_bytes: required('bigint'),
  time_to_first_byte_ms: optional('double precision'),
  duration_ms: required('double precision'),
  client_ip: required('text'),
  user_id: optional('text'),
  session_id: optional('text'),
  properties: required('jsonb'),
  started_at: required('timestamptz'),
  group_id: optional('uuid'),
  cost_nano: optional('bigint'),
  held_nano: optional('bigint'),
  estimated: required('boolean'),
  price_version: optional('text'),
  settlements: required('jsonb'),
} as const satisfies Readonly<Record<string, Column>>

export type ColumnName = keyof typeof recordColumns

/** In the order in which they are written. */
export const columnNames: readonly ColumnName[] = Object.keys(recordColumns).filter(isColumn)

function isColumn(name: string): name is ColumnName {
  return Object.hasOwn(recordColumns, name)
}

/**
 * A row of `request`, as JSON has it: made once, when its request is over, and what the queue holds. One that was kept
 * somewhere else may have anything in its columns, or lack some.
 */
export type RecordRow = Readonly<Partial<Record<ColumnName, unknown>>> & { readonly id: RequestId }

/** A row as one line of JSON: what the spool holds. */
export type RowText = Branded<'RowText'>

const none: readonly StoredSettlement[] = []

/** A row as text. Throws where something in it is nothing that JSON has. */
export function rowText(row: RecordRow): RowText {
  return JSON.stringify(row) as RowText
}

/** What is in a row; null where it is not even an object with an id. */
export function parseRow(text: string): RecordRow | null {
  try {
    const value: unknown = JSON.parse(text)
    return isRow(value) ? value : null
  } catch {
    return null
  }
}

/** Rows as a JSON array: what the copies hold. Throws as `rowText` does. */
export function rowsText(rows: readonly RecordRow[]): string {
  return JSON.stringify(rows)
}

/** What is in rows, as `parseRow`; one null where it is not even an array. */
export function parseRows(text: string): readonly (RecordRow | null)[] {
  try {
    const values: unknown = JSON.parse(text)
    return Array.isArray(values) ? values.map((value) => (isRow(value) ? value : null)) : [null]
  } catch {
    return [null]
  }
}

function isRow(value: unknown): value is RecordRow {
  return typeof value === 'object' && value !== null && 'id' in value && isUuid(String(value.id))
}

/** The row of a record. One literal, so that all rows are of one shape. */
export function rowOf(record: RequestRecord): RecordRow & Readonly<Record<ColumnName, unknown>> {
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
    started_at: momentText(record.startedAt),
    group_id: record.groupId,
    // As texts: a JSON number can't hold every amount.
    cost_nano: record.cost === null ? null : String(record.cost),
    held_nano: record.held === null ? null : String(record.held),
    estimated: record.estimated,
    price_version: record.priceVersion,
    settlements: record.settlements.length === 0 ? none : storedSettlements(record.settlements),
  }
}

let second = Number.NaN
let secondText = ''

/** Null: it is no moment. Most records begin in the same second as the one before, whose text is known. */
function momentText(ms: number): string | null {
  const whole = Math.floor(ms / 1000)
  if (whole !== second) {
    const moment = new Date(whole * 1000)
    if (Number.isNaN(moment.getTime())) return null
    second = whole
    secondText = moment.toISOString().slice(0, -'000Z'.length)
  }
  return `${secondText}${String(Math.floor(ms - whole * 1000)).padStart(3, '0')}Z`
}
