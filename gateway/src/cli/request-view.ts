import type { RequestBodyWire, RequestDetailWire } from '@latchkey/shared'
import { counted } from './counted.ts'
import { fields } from './table.ts'
import { printable } from './terminal.ts'
import { exactTime } from './times.ts'

/** One record, a field a line. `now`: milliseconds since the epoch. */
export function requestFields(record: RequestDetailWire, now: number): string {
  const tokens = (count: number | null) => (count === null ? 'unknown' : String(count))
  return fields([
    ['id', record.id],
    ['started', exactTime(record.startedAt, now)],
    ['key', `${record.keyName} (${record.keyId})`],
    ['endpoint', `${record.method} ${record.endpoint}`],
    ['provider', record.provider],
    ['model', record.responseModel ?? record.model],
    ['status', record.code === null ? String(record.status) : `${record.status} ${record.code}`],
    ['attempts', String(record.attempts)],
    ['input tokens', tokens(record.inputTokens)],
    ['output tokens', tokens(record.outputTokens)],
    ['cost', record.costUsd === null ? null : `${record.estimated ? '~' : ''}$${record.costUsd}`],
    ['duration', `${Math.round(record.durationMs)} ms`],
    ['address', record.clientIp],
    ['user', record.userId],
    ['session', record.sessionId],
    ['bodies kept', record.bodies.length === 0 ? 'none' : record.bodies.join(', ')],
  ])
}

/** A body under a line that says what it is. */
export function bodyText(direction: string, body: RequestBodyWire | null): string {
  if (body === null) return `${direction}: not kept`
  const { mediaType, bytes, truncated, text } = body
  const kept = text === null ? ', no text: not kept' : truncated ? ', its beginning' : ''
  const head = `${direction}: ${mediaType === '' ? 'no type' : mediaType}, ${counted(bytes, 'byte')}${kept}`
  return text === null ? head : `${head}\n${text.split('\n').map(printable).join('\n')}`
}
