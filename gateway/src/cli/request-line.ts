import type { RequestWire } from '@latchkey/shared'
import { printable } from './terminal.ts'

const columns = [
  ['started', 24, (record: RequestWire) => record.startedAt],
  ['status', 6, (record: RequestWire) => String(record.status)],
  ['key', 16, (record: RequestWire) => record.keyName],
  ['model', 24, (record: RequestWire) => record.responseModel ?? record.model],
  ['endpoint', 26, (record: RequestWire) => record.endpoint],
  ['in', 8, (record: RequestWire) => count(record.inputTokens)],
  ['out', 8, (record: RequestWire) => count(record.outputTokens)],
  ['cost', 12, cost],
  ['ms', 8, (record: RequestWire) => String(Math.round(record.durationMs))],
  ['note', 0, note],
] as const

/** The headers over `requestLine`. Widths are fixed, so that lines that come later stand under them too. */
export const requestHead = columns
  .map(([name, width]) => name.padEnd(width))
  .join('  ')
  .trimEnd()

/** One record as a line. What is too long for its column is cut. */
export function requestLine(record: RequestWire): string {
  return columns
    .map(([, width, read]) => {
      const text = printable(read(record) ?? '-')
      if (width === 0) return text
      return (text.length > width ? `${text.slice(0, width - 1)}…` : text).padEnd(width)
    })
    .join('  ')
    .trimEnd()
}

function count(tokens: number | null): string | null {
  return tokens === null ? null : String(tokens)
}

function cost({ costUsd, estimated }: RequestWire): string | null {
  return costUsd === null ? null : `${estimated ? '~' : ''}$${costUsd}`
}

function note(record: RequestWire): string {
  return [
    record.code,
    record.streamed ? 'streamed' : null,
    record.disconnected ? 'client left' : null,
    record.truncated ? 'cut off' : null,
    record.usageMissing ? 'usage unknown' : null,
    record.attempts > 1 ? `${record.attempts} attempts` : null,
  ]
    .filter((part) => part !== null)
    .join(', ')
}
