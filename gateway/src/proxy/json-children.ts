/** What a JSON text asks of a parser. */
export interface JsonExtent {
  /** Its values and the names of its members, at every depth. */
  readonly pieces: number
  readonly depth: number
}

/** What a text was found to have. */
export interface JsonCount extends JsonExtent {
  /** The names of its members, at every depth, repeated ones too. */
  readonly names: number
}

/**
 * Takes a member of an object, or an element of an array (`name` null), whose value stands from `start` to `end`.
 * The name is null, too, where it is too long to be one that we read.
 */
export type VisitChild = (name: string | null, start: number, end: number) => void

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const openArray = 0x5b
const backslash = 0x5c
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

/** Bytes of a name that we read, each letter of it spelled as an escape. */
const longestSpelling = 6 * 32

/**
 * Visits the children of the object or array that a JSON text spells, and counts all below them, without
 * building anything: what `JSON.parse` hides (where a value stands, that a name stands twice) and what it would
 * cost. It stops once there is more than `most`. Whether the text is JSON at all is for a parser to say; on
 * other text it visits nothing useful, safely, in time that grows with its length alone.
 */
export function visitChildren(
  bytes: Buffer,
  visit: VisitChild,
  most: JsonExtent = unlimited,
  from = 0,
  to = bytes.length,
): JsonCount {
  let pieces = 1
  let names = 0
  let depth = 0
  let deepest = 0
  let rootIsObject = false
  let naming = false
  let name: string | null = null
  let childFrom = -1
  const endChild = (at: number) => {
    if (childFrom === -1) return
    const start = skipSpace(bytes, childFrom, at)
    const end = skipSpaceBack(bytes, start, at)
    if (end > start) visit(name, start, end)
    name = null
    childFrom = -1
  }
  let at = nextMark(bytes, from, to)
  while (at < to && pieces <= most.pieces && deepest <= most.depth) {
    const byte = bytes[at] ?? 0
    switch (byte) {
      case quote: {
        const end = endOfString(bytes, at + 1, to)
        if (naming && depth === 1) name = nameAt(bytes, at + 1, end - 1)
        at = end - 1
        break
      }
      case openObject:
      case openArray:
        if (depth === 0) {
          rootIsObject = byte === openObject
          naming = rootIsObject
          childFrom = rootIsObject ? -1 : at + 1
        }
        pieces++
        if (++depth > deepest) deepest = depth
        break
      case closeObject:
      case closeArray:
        if (depth === 1) endChild(at)
        if (depth > 0) depth--
        break
      case comma:
        pieces++
        if (depth !== 1) break
        endChild(at)
        naming = rootIsObject
        if (!rootIsObject) childFrom = at + 1
        break
      case colon:
        pieces++
        names++
        if (depth !== 1) break
        naming = false
        childFrom = at + 1
        break
    }
    at = nextMark(bytes, at + 1, to)
  }
  return { pieces, depth: deepest, names }
}

const unlimited: JsonExtent = { pieces: Number.POSITIVE_INFINITY, depth: Number.POSITIVE_INFINITY }

const isMark = new Uint8Array(256)
for (const mark of [quote, comma, colon, openArray, closeArray, openObject, closeObject]) isMark[mark] = 1

/** Where the next byte stands that is not part of a number, a word or white space; else `to`. */
function nextMark(bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to && isMark[bytes[at] ?? 0] === 0) at++
  return at
}

/** A native search costs as much as some dozens of bytes looked at here, so it is asked for long strings only. */
const nearBytes = 64

/** Behind the closing quote of the string whose first character stands at `from`, or `to`. */
function endOfString(bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to) {
    const near = Math.min(at + nearBytes, to)
    while (at < near) {
      const byte = bytes[at]
      if (byte === quote) return at + 1
      at += byte === backslash ? 2 : 1
    }
    const found = bytes.indexOf(quote, at)
    if (found === -1 || found >= to) return to
    // A quote is escaped by an odd number of backslashes before it.
    let slashes = 0
    while (found - slashes > at && bytes[found - slashes - 1] === backslash) slashes++
    at = found + 1
    if (slashes % 2 === 0) return at
  }
  return to
}

function skipSpace(bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to && (bytes[at] ?? 0) <= 0x20) at++
  return at
}

function skipSpaceBack(bytes: Buffer, from: number, to: number): number {
  let at = to
  while (at > from && (bytes[at - 1] ?? 0) <= 0x20) at--
  return at
}

function nameAt(bytes: Buffer, from: number, to: number): string | null {
  if (to - from > longestSpelling) return null
  const text = bytes.toString('utf8', from, to)
  if (!text.includes('\\')) return text
  try {
    const name: unknown = JSON.parse(`"${text}"`)
    return typeof name === 'string' ? name : null
  } catch {
    return null
  }
}
