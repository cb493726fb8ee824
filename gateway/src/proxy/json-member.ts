import { visitChildren } from './json-children.ts'

/**
 * The text of a JSON object with its member `name` set to `value`, a JSON text: in place of the value that stands
 * there, or as the first member. Bytes are spliced, never serialised anew: all else stays as it was sent.
 */
export function withMember(object: Buffer, name: string, value: string | Buffer): Buffer {
  const place = placeOfMember(object, name)
  if (place !== null) return splice(object, place.start, place.end, [value])
  const open = object.indexOf('{') + 1
  let empty = true
  visitChildren(object, () => {
    empty = false
  })
  return splice(object, open, open, [JSON.stringify(name), ':', value, empty ? '' : ','])
}

/** The text of the value of the member `name`, or null where the object has none. */
export function memberOf(object: Buffer, name: string): Buffer | null {
  const place = placeOfMember(object, name)
  return place === null ? null : object.subarray(place.start, place.end)
}

function placeOfMember(
  object: Buffer,
  name: string,
): { readonly start: number; readonly end: number } | null {
  let place: { readonly start: number; readonly end: number } | null = null
  visitChildren(object, (found, start, end) => {
    if (found === name) place = { start, end }
  })
  return place
}

function splice(bytes: Buffer, start: number, end: number, insertion: readonly (string | Buffer)[]): Buffer {
  const inserted = insertion.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece))
  return Buffer.concat([bytes.subarray(0, start), ...inserted, bytes.subarray(end)])
}
