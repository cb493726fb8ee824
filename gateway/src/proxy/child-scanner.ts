import { GatheredBytes } from './gathered-bytes.ts'

/** A member of an object or an element of an array, by where its value stands in the whole text. */
export interface Child {
  /** The member's name, decoded; null for an element, and for a name too long to be one of ours. */
  readonly name: string | null
  readonly start: number
  /** Behind the last byte of the value. */
  readonly end: number
  /** The value's bytes where its name is captured and they fit; else null. */
  readonly bytes: Buffer | null
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openObject = 0x7b
const closeObject = 0x7d
const openArray = 0x5b
const closeArray = 0x5d

const longestName = 128

/**
 * Finds the children of the root object or array of a JSON text that comes in chunks, without
 * building it: strings are skipped by native search. It tells what `JSON.parse` hides, where each
 * value stands and that a name stands twice, and holds no more than a captured value in memory.
 * Whether the text is JSON at all is for a parser to say; on other text it finds nothing useful, safely.
 */
export class ChildScanner {
  readonly #onChild: (child: Child) => void
  readonly #capture: ReadonlySet<string>
  readonly #longestCapture: number
  #offset = 0
  #depth = 0
  #rootIsObject = false
  #inString = false
  /** The next byte is escaped by a backslash before it. */
  #escaped = false
  /** Collecting the root's next member name. */
  #naming = false
  #name: Buffer[] | null = null
  #memberName: string | null = null
  #inValue = false
  #valueStart = 0
  /** Behind the last byte of the value that is not white space. */
  #valueEnd = 0
  #captured: GatheredBytes | null = null

  constructor(
    onChild: (child: Child) => void,
    capture: ReadonlySet<string> = new Set(),
    longestCapture = 64 * 1024,
  ) {
    this.#onChild = onChild
    this.#capture = capture
    this.#longestCapture = longestCapture
  }

  push(chunk: Buffer): void {
    let at = 0
    // Where the bytes of this chunk that belong to a captured value begin.
    let captureFrom = 0
    const keep = (to: number) => {
      if (this.#captured !== null && to > captureFrom) this.#keep(chunk.subarray(captureFrom, to))
    }
    while (at < chunk.length) {
      if (this.#inString) {
        const from = at
        at = this.#skipString(chunk, at)
        if (this.#naming) this.#keepName(chunk.subarray(from, at))
        if (!this.#inString && this.#naming) this.#endName()
        this.#valueEnd = this.#offset + at
        continue
      }
      const byte = chunk[at] ?? 0
      if (byte <= 0x20) {
        at++
        continue
      }
      if (this.#depth === 1 && (byte === comma || byte === closeObject || byte === closeArray)) {
        keep(at)
        this.#endValue()
        captureFrom = chunk.length
        if (byte !== comma) this.#depth = 0
        else this.#naming = this.#rootIsObject
        at++
        continue
      }
      if (this.#depth === 1 && byte === colon && !this.#inValue) {
        at++
        continue
      }
      if (this.#depth === 1 && !this.#inValue && !this.#naming) {
        this.#startValue(this.#offset + at)
        captureFrom = at
      }
      if (byte === quote) this.#inString = true
      else if (byte === openObject || byte === openArray) this.#open(byte)
      else if (byte === closeObject || byte === closeArray) this.#depth = Math.max(0, this.#depth - 1)
      at++
      this.#valueEnd = this.#offset + at
    }
    keep(chunk.length)
    this.#offset += chunk.length
  }

  #open(byte: number): void {
    if (this.#depth === 0) {
      this.#rootIsObject = byte === openObject
      this.#naming = this.#rootIsObject
    }
    this.#depth++
  }

  /** Moves to behind the closing quote, or to the end of the chunk while the string goes on. */
  #skipString(chunk: Buffer, from: number): number {
    let at = from
    if (this.#escaped) {
      this.#escaped = false
      at++
    }
    for (;;) {
      const end = chunk.indexOf(quote, at)
      const stop = end === -1 ? chunk.length : end
      // A quote is escaped by an odd number of backslashes before it, down to where we started to look.
      let slashes = 0
      while (stop - 1 - slashes >= at && chunk[stop - 1 - slashes] === backslash) slashes++
      if (end === -1) {
        this.#escaped = slashes % 2 === 1
        return chunk.length
      }
      if (slashes % 2 === 0) {
        this.#inString = false
        return end + 1
      }
      at = end + 1
    }
  }

  #keepName(bytes: Buffer): void {
    this.#name ??= []
    const length = this.#name.reduce((sum, part) => sum + part.length, bytes.length)
    // Too long to be a name that we read: remember only that it is no such name.
    this.#name = length > longestName ? [Buffer.alloc(longestName)] : [...this.#name, Buffer.from(bytes)]
  }

  #endName(): void {
    const text = `"${Buffer.concat(this.#name ?? []).toString('utf8')}`
    this.#name = null
    this.#naming = false
    try {
      const name: unknown = JSON.parse(text)
      this.#memberName = typeof name === 'string' ? name : null
    } catch {
      this.#memberName = null
    }
  }

  #startValue(at: number): void {
    this.#inValue = true
    this.#valueStart = at
    const captures = this.#memberName !== null && this.#capture.has(this.#memberName)
    this.#captured = captures ? new GatheredBytes() : null
  }

  #keep(bytes: Buffer): void {
    if (this.#captured === null) return
    if (this.#captured.length + bytes.length > this.#longestCapture) this.#captured = null
    else this.#captured.append(bytes)
  }

  #endValue(): void {
    if (!this.#inValue) return
    const bytes = this.#captured?.take() ?? null
    this.#onChild({ name: this.#memberName, start: this.#valueStart, end: this.#valueEnd, bytes })
    this.#inValue = false
    this.#memberName = null
    this.#captured = null
  }
}
