import { LatchkeyError, timestamp } from '@latchkey/shared'

/** The place in a list after which its next page begins, as opaque text. */
export function encodeCursor(place: readonly string[]): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url')
}

/** The `length` parts that `encodeCursor` was given. Throws `invalid_request` on any other text. */
export function decodeCursor(cursor: string, length: number, param = 'cursor'): readonly string[] {
  let place: unknown
  try {
    place = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    place = null
  }
  if (Array.isArray(place) && place.length === length && place.every((part) => typeof part === 'string')) {
    return place
  }
  throw invalidCursor(param)
}

/** A moment that a cursor holds, as `toISOString` wrote it. Throws `invalid_request`. */
export function momentInCursor(text: string): Date {
  // Dates far beyond what anybody wrote would be too much for Postgres.
  if (!timestamp.safeParse(text).success) throw invalidCursor()
  return new Date(text)
}

/** The fault of a cursor that no page gave. */
export function invalidCursor(param = 'cursor'): LatchkeyError {
  return new LatchkeyError('invalid_request', {
    message: `${param} must be one that an earlier page gave.`,
    param,
  })
}
