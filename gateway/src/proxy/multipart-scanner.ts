const longestHeaders = 16 * 1024
const longestField = 1024
const nothing = Buffer.alloc(0)

/** What a scanner makes of a chunk: bytes that may go on, and the closing boundary with what follows it. */
export interface Scanned {
  readonly pass: Buffer
  /** Null until the closing boundary is reached. */
  readonly closing: Buffer | null
}

/** The characters of a boundary (RFC 2046, section 5.1.1), less the space, which nobody sends and some drop. */
const boundaryShape = /^[0-9A-Za-z'()+_,\-./:=?]{1,70}$/

/** The `boundary` of a multipart content type, or null where it has not exactly one. */
export function boundaryOf(contentType: string): string | null {
  const mentions = contentType.match(/\bboundary[^;=]*=/gi) ?? []
  const found = /;\s*boundary=(?:"([^"\\]*)"|([^\s;",]+))\s*(?:;|$)/i.exec(contentType)
  const boundary = found?.[1] ?? found?.[2] ?? ''
  return mentions.length === 1 && boundaryShape.test(boundary) ? boundary : null
}

/** A part's disposition with nothing in it that one parser drops and another reads (RFC 7578, section 4.2). */
const dispositionShape =
  /^content-disposition:[ \t]*form-data(?:[ \t]*;[ \t]*[a-z*]+=(?:"(?:[^"\\]|\\.)*"|[^\s;"]+))+[ \t]*$/i
const nameShape = /^[A-Za-z0-9_.[\]-]+$/

/**
 * Finds the `model` field of a multipart form in the passing bytes. It holds back no more than a
 * delimiter's length, until the closing boundary: that it hands over apart, so that an upload can be
 * let through to its last byte before the model (which may come after the file) is known.
 * What another parser would split elsewhere, or read by another name, is malformed here.
 */
export class MultipartScanner {
  /** Searched without its line end, so that one in the wrong place is seen too, and refused. */
  readonly #delimiter: Buffer
  #state: 'start' | 'headers' | 'content' | 'closed' = 'start'
  #held: Buffer = nothing
  #headers = ''
  #isModel = false
  #value = ''
  #models: string[] = []
  #malformed = false

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`--${boundary}`, 'latin1')
  }

  /** Whether the form can be read in more than one way, or not at all. */
  get malformed(): boolean {
    return this.#malformed || this.#models.length > 1
  }

  /** The value of the `model` field that has ended so far; null for none. */
  get model(): string | null {
    return this.#models[0] ?? null
  }

  push(chunk: Buffer): Scanned {
    if (this.#state === 'closed') {
      this.#readEpilogue(chunk)
      return { pass: nothing, closing: chunk }
    }
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    let at = 0
    for (;;) {
      const { start, end } = this.#find(data, at)
      this.#read(data.subarray(at, start))
      // Two bytes behind a delimiter say whether it closes the form.
      if (end === null || end + 2 > data.length) {
        this.#held = data.subarray(start)
        return { pass: data.subarray(0, start), closing: null }
      }
      this.#endPart()
      const next = data.toString('latin1', end, end + 2)
      if (next === '--') {
        this.#state = 'closed'
        this.#readEpilogue(data.subarray(end + 2))
        return { pass: data.subarray(0, start), closing: data.subarray(start) }
      }
      if (next !== '\r\n') this.#malformed = true
      this.#state = 'headers'
      this.#headers = ''
      at = end
    }
  }

  /** What is still held when the body ends; a form without its closing boundary is malformed. */
  end(): Buffer {
    if (this.#state !== 'closed') this.#malformed = true
    return this.#held
  }

  /** The next delimiter with its line end; without one, `start` is where it might yet begin. */
  #find(data: Buffer, from: number): { readonly start: number; readonly end: number | null } {
    if (this.#state === 'start') {
      const { length } = this.#delimiter
      if (data.length < length) return { start: 0, end: null }
      if (data.subarray(0, length).equals(this.#delimiter)) return { start: 0, end: length }
      // A preamble is legal, and nobody sends one: what it holds is read by nobody alike.
      this.#malformed = true
      this.#state = 'content'
    }
    const found = data.indexOf(this.#delimiter, from)
    // All but the last byte of a delimiter, and the line end before it.
    if (found === -1) return { start: Math.max(from, data.length - this.#delimiter.length - 1), end: null }
    const ownLine = found >= from + 2 && data[found - 2] === 0x0d && data[found - 1] === 0x0a
    if (!ownLine) this.#malformed = true
    return { start: ownLine ? found - 2 : found, end: found + this.#delimiter.length }
  }

  #read(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (this.#state === 'content') {
      if (this.#isModel) this.#keepValue(bytes.toString('latin1'))
      return
    }
    this.#headers += bytes.toString('latin1')
    const end = this.#headers.indexOf('\r\n\r\n')
    if (end !== -1) this.#startContent(this.#headers.slice(0, end), this.#headers.slice(end + 4))
    else if (this.#headers.length > longestHeaders) {
      this.#malformed = true
      this.#state = 'content'
      this.#headers = ''
    }
  }

  /** Behind the end nobody should read, so nothing may stand there but a line end. */
  #readEpilogue(bytes: Buffer): void {
    if (bytes.some((byte) => byte !== 0x0d && byte !== 0x0a)) this.#malformed = true
  }

  /** `headers` begins with the line end of the delimiter's own line. */
  #startContent(headers: string, rest: string): void {
    this.#state = 'content'
    this.#headers = ''
    this.#value = ''
    // Bare line ends, folded lines, forms within forms: each is read by some and skipped by others.
    if (/(?<!\r)\n|\r(?!\n)|\r\n[ \t]|\0/.test(headers)) this.#malformed = true
    if (/^content-type[ \t]*:[ \t]*multipart/im.test(headers)) this.#malformed = true
    const dispositions = headers.split('\r\n').filter((line) => /^content-disposition[ \t]*:/i.test(line))
    const disposition = dispositions[0] ?? ''
    const names = [...disposition.matchAll(/;\s*name\s*(\*?)=\s*(?:"([^"]*)"|([^\s;]*))/gi)]
    const name = names[0]?.[2] ?? names[0]?.[3] ?? ''
    if (dispositions.length !== 1 || !dispositionShape.test(disposition)) this.#malformed = true
    if (names.length !== 1 || names[0]?.[1] === '*' || !nameShape.test(name)) this.#malformed = true
    this.#isModel = /^model(?:[.[]|$)/i.test(name)
    if (this.#isModel) {
      const encoded = /content-transfer-encoding|charset="?(?!utf-8\b)/i.test(headers)
      if (name !== 'model' || encoded || /;\s*filename/i.test(headers)) this.#malformed = true
      this.#keepValue(rest)
    }
  }

  #keepValue(text: string): void {
    if (this.#value.length + text.length > longestField) this.#malformed = true
    else this.#value += text
  }

  #endPart(): void {
    if (this.#state === 'headers') this.#malformed = true
    if (this.#state === 'content' && this.#isModel)
      this.#models.push(Buffer.from(this.#value, 'latin1').toString('utf8'))
    this.#isModel = false
  }
}
