import { fieldSpelled, singleFields } from './single-fields.ts'

const longestHeaders = 16 * 1024
const longestModel = 1024
/** Names and kept values of a form's text fields: hundreds of times what any API asks for. */
const mostFieldBytes = 64 * 1024
/** A longer value is prose or data, of which the size is all that matters. */
const longestKept = 4 * 1024
/** Line ends behind the closing boundary. */
const longestEpilogue = 1024
const nothing = Buffer.alloc(0)

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
 * Reads the text fields of a multipart form in the passing bytes. It holds back no more than a delimiter's
 * length, until the closing boundary: that it keeps with what follows, so that an upload can be let through
 * to its last byte before its fields (which may come after the file) are known. What another parser would
 * split elsewhere, or read by another name or value, is malformed here.
 */
export class MultipartScanner {
  /** Searched without its line end, so that one in the wrong place is seen too, and refused. */
  readonly #delimiter: Buffer
  readonly #fields = new Map<string, string>()
  #state: 'start' | 'headers' | 'content' | 'closed' = 'start'
  #held: Buffer = nothing
  #headers = ''
  /** The name of the text part that is being read; null in a file. */
  #name: string | null = null
  #value = ''
  #valueBytes = 0
  #keptBytes = 0
  #fieldBytes = 0
  #model: string | null = null
  #malformed = false

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`--${boundary}`, 'latin1')
  }

  /** Whether the form can be read in more than one way, or not at all. */
  get malformed(): boolean {
    return this.#malformed
  }

  /** Whether the closing boundary has been reached. */
  get closed(): boolean {
    return this.#state === 'closed'
  }

  /** The value of the `model` field, the first that has ended so far; null for none. */
  get model(): string | null {
    return this.#model
  }

  /**
   * The text fields that have ended so far, a file being none. A value of more than 4 KiB stands as '' here.
   * Empty where the form is malformed: nobody knows what its provider will read.
   */
  get fields(): Readonly<Record<string, string>> {
    return this.#malformed ? {} : Object.fromEntries(this.#fields)
  }

  /** Bytes of the values of text fields so far, long ones and repeated ones included. */
  get fieldBytes(): number {
    return this.#fieldBytes
  }

  /** Takes a chunk and gives the bytes that may go on. Behind the end of a malformed form that is all of them. */
  push(chunk: Buffer): Buffer {
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    if (this.#state === 'closed') {
      this.#readEpilogue(chunk, data.length)
      this.#held = this.#malformed ? nothing : data
      return this.#malformed ? data : nothing
    }
    let at = 0
    for (;;) {
      const { start, end } = this.#find(data, at)
      this.#read(data.subarray(at, start))
      // Two bytes behind a delimiter say whether it closes the form.
      if (end === null || end + 2 > data.length) {
        this.#held = data.subarray(start)
        return data.subarray(0, start)
      }
      this.#endPart()
      const next = data.toString('latin1', end, end + 2)
      if (next === '--') {
        this.#state = 'closed'
        this.#held = data.subarray(start)
        this.#readEpilogue(data.subarray(end + 2), this.#held.length)
        return data.subarray(0, start)
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
      if (this.#name !== null) this.#keepValue(bytes.toString('latin1'))
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

  /** Behind the end nobody should read, so nothing may stand there but a line end. `held`: with the boundary itself. */
  #readEpilogue(bytes: Buffer, held: number): void {
    if (held > longestEpilogue || bytes.some((byte) => byte !== 0x0d && byte !== 0x0a)) this.#malformed = true
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
    const isFile = /;\s*filename/i.test(headers)
    this.#judgeName(name, isFile, headers)
    this.#name = isFile ? null : name
    this.#valueBytes = 0
    if (!isFile) this.#keepValue(rest)
  }

  /** A name that some API would take for one that decides something must be that, once, and its value plain text. */
  #judgeName(name: string, isFile: boolean, headers: string): void {
    const field = fieldSpelled(name.replace(/[.[].*$/, ''), singleFields)
    if (field === null) return
    const encoded = /content-transfer-encoding|charset="?(?!utf-8\b)/i.test(headers)
    // No API takes a list of models from a form, so it would be read by a lax server alone.
    if (name !== field || field === 'models' || isFile || encoded || this.#fields.has(field)) {
      this.#malformed = true
    }
  }

  #keepValue(text: string): void {
    this.#valueBytes += text.length
    this.#fieldBytes += text.length
    if (this.#valueBytes <= longestKept) this.#value += text
    else this.#value = ''
  }

  #endPart(): void {
    if (this.#state === 'headers') this.#malformed = true
    const name = this.#name
    this.#name = null
    if (this.#state !== 'content' || name === null) return
    this.#keptBytes += name.length + this.#value.length
    const tooLong = name === 'model' && this.#valueBytes > longestModel
    if (tooLong || this.#keptBytes > mostFieldBytes) this.#malformed = true
    if (this.#malformed) this.#fields.clear()
    const value = Buffer.from(this.#value, 'latin1').toString('utf8')
    if (name === 'model' && this.#valueBytes <= longestModel) this.#model ??= value
    if (!this.#malformed) this.#fields.set(name, value)
  }
}
