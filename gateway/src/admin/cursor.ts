import { LatchkeyError } from '@latchkey/shared'

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
  throw new LatchkeyError('invalid_request', {
    message: `${param} must be one that an earlier page gave.`,
    param,
  })
}
