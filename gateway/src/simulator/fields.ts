import { LatchkeyError } from '@latchkey/shared'

/** A JSON object whose fields nobody has looked at yet. */
export type JsonObject = { readonly [field: string]: unknown }

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Readers of one field each. All throw `invalid_request`, naming the field. */
export function requiredText(body: JsonObject, field: string): string {
  const value = body[field]
  if (typeof value === 'string' && value !== '') return value
  throw badField(field, value === undefined ? 'is required' : 'must be a string that is not empty')
}

export function optionalText(body: JsonObject, field: string): string | null {
  const value = body[field]
  if (value == null) return null
  if (typeof value === 'string') return value
  throw badField(field, 'must be a string')
}

/** `least` and `most` are inclusive. */
export function optionalWhole(body: JsonObject, field: string, least: number, most: number): number | null {
  const value = body[field]
  if (value == null) return null
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  throw badField(field, `must be a whole number from ${least} to ${most}`)
}

export function flag(body: JsonObject, field: string): boolean {
  const value = body[field]
  if (value == null) return false
  if (typeof value === 'boolean') return value
  throw badField(field, 'must be true or false')
}

export function optionalObject(body: JsonObject, field: string): JsonObject | null {
  const value = body[field]
  if (value == null) return null
  if (isObject(value)) return value
  throw badField(field, 'must be an object')
}

export function optionalList(body: JsonObject, field: string): readonly unknown[] {
  const value = body[field]
  if (value == null) return []
  if (Array.isArray(value)) return value
  throw badField(field, 'must be a list')
}

export function badField(field: string, what: string): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: `The field '${field}' ${what}.`, param: field })
}
