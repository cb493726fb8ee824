import { isUuid, type RequestId } from '@latchkey/shared'
import { type Column, type ColumnName, columnNames, type RecordRow, recordColumns } from './record-row.ts'

// In characters. Three bytes each still fit into a row of an index.
const longestText = 500
const mostProperties = 100
const int4 = { least: -(2n ** 31n), most: 2n ** 31n - 1n }
const int8 = { least: -(2n ** 63n), most: 2n ** 63n - 1n }
const noId = '00000000-0000-0000-0000-000000000000'

export interface SoundRowOptions {
  /** Without them nothing settles: for a row whose money is what can't be written. */
  readonly settlements: boolean
}

/**
 * What can be saved of a row that Postgres does not take: each value that its column might refuse is cut to size or
 * becomes null, zero, empty or false. The id and the settlements that can be read stay as they are.
 */
export function soundRow(row: RecordRow, { settlements }: SoundRowOptions): RecordRow {
  const sound: Partial<Record<ColumnName, unknown>> = {}
  for (const name of columnNames) sound[name] = soundValue(row[name], recordColumns[name], row.id)
  return {
    ...sound,
    id: row.id,
    properties: soundProperties(row.properties),
    settlements: settlements ? soundSettlements(row.settlements) : [],
  }
}

function soundValue(value: unknown, { type, required }: Column, id: RequestId): unknown {
  switch (type) {
    case 'uuid':
      return typeof value === 'string' && isUuid(value) ? value : required ? noId : null
    case 'text':
      return typeof value === 'string' ? soundText(value) : required ? '' : null
    case 'integer':
      return wholeNumber(value, int4) ?? (required ? '0' : null)
    case 'bigint':
      return wholeNumber(value, int8) ?? (required ? '0' : null)
    case 'boolean':
      return value === true
    case 'double precision':
      return typeof value === 'number' && Number.isFinite(value) ? value : required ? 0 : null
    case 'timestamptz':
      return soundMoment(value) ?? momentOf(id)
    case 'jsonb':
      // Both columns are looked at for what they are.
      return null
    default:
      return type satisfies never
  }
}

/** Postgres knows neither NUL nor half a surrogate pair. */
function soundText(text: string): string {
  return text.slice(0, longestText).replaceAll('\0', '\ufffd').toWellFormed()
}

/** As a text, since JSON's numbers lose digits. */
function wholeNumber(value: unknown, { least, most }: typeof int8): string | null {
  const isWhole = typeof value === 'number' ? Number.isSafeInteger(value) : /^-?[0-9]{1,19}$/.test(`${value}`)
  if (!isWhole) return null
  const number = BigInt(`${value}`)
  return number >= least && number <= most ? number.toString() : null
}

function soundMoment(value: unknown): string | null {
  const isMoment = typeof value === 'string' && /^[0-9]{4}-/.test(value) && !Number.isNaN(Date.parse(value))
  return isMoment ? value : null
}

/** When an id of version 7 was made; the epoch where that is beyond the years of four digits. */
function momentOf(id: RequestId): string {
  const moment = new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16))
  return moment.getUTCFullYear() <= 9999 ? moment.toISOString() : new Date(0).toISOString()
}

function soundProperties(value: unknown): Readonly<Record<string, string>> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return Object.fromEntries(
    entries.slice(0, mostProperties).map(([name, text]) => [soundText(name), soundText(String(text))]),
  )
}

function soundSettlements(value: unknown): readonly Readonly<Record<string, string>>[] {
  return Array.isArray(value) ? value.map(soundSettlement).filter((settlement) => settlement !== null) : []
}

function soundSettlement(value: unknown): Readonly<Record<string, string>> | null {
  if (typeof value !== 'object' || value === null) return null
  const { window, lease, within, beyond } = value as Readonly<Record<string, unknown>>
  const amounts = [window, within, beyond].map((amount) => wholeNumber(amount, { ...int8, least: 0n }))
  const [soundWindow, soundWithin, soundBeyond] = amounts
  if (!soundWindow || !soundWithin || !soundBeyond || typeof lease !== 'string' || !isUuid(lease)) return null
  return { window: soundWindow, lease, within: soundWithin, beyond: soundBeyond }
}
