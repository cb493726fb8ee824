import type { IncomingMessage } from 'node:http'
import { LatchkeyError } from '@latchkey/shared'

/** A file of a form. Its bytes are counted and dropped. */
export interface FormFile {
  readonly field: string
  readonly filename: string
  readonly bytes: number
}

/** A `multipart/form-data` body (RFC 7578). Of a field that occurs twice, the last one counts. */
export interface Form {
  readonly fields: ReadonlyMap<string, string>
  readonly files: readonly FormFile[]
}

const mostHeaderBytes = 16 * 1024
const mostFieldBytes = 1024 * 1024
const mostParts = 1000

/**
 * Reads a form of any length in constant memory, but for its text fields. Throws
 * `unsupported_media_type`, `invalid_request`, `body_too_large`; an Error where the client leaves.
 */
export async function readForm(request: IncomingMessage): Promise<Form> {
  const type = request.headers['content-type'] ?? ''
  const boundary = /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/is.exec(type)
  if (!boundary)
    throw new LatchkeyError('unsupported_media_type', {
      message: 'Send multipart/form-data with a boundary.',
    })
  const reader = new FormReader(boundary[1] ?? boundary[2] ?? '')
  // A refusal must not destroy the connection that is to carry it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) reader.push(chunk)
  return reader.end()
}

/** Splits a form as its bytes come. Delimiters may be split over chunks at any byte. */
class FormReader {
  readonly #delimiter: Buffer
  readonly #fields = new Map<string, string>()
  readonly #files: FormFile[] = []
  // A line break that is not there lets the first boundary match like all others.
  #rest: Buffer = Buffer.from('\r\n')
  #state: 'preamble' | 'boundary' | 'headers' | 'content' | 'epilogue' = 'preamble'
  #part: OpenPart | null = null
  #parts = 0

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`)
  }

  push(chunk: Buffer): void {
    if (this.#rest.length === 0 || this.#contentPasses(chunk)) this.#rest = chunk
    else this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#step()) {
      // Each step consumes from what is left, until it needs more bytes.
    }
  }

  end(): Form {
    if (this.#state !== 'epilogue') throw badForm('ends before its last boundary')
    return { fields: this.#fields, files: this.#files }
  }

  // Takes what is left as content where no delimiter spans it and `chunk`: joining every chunk of a large
  // file with the few bytes before it would copy the whole file.
  #contentPasses(chunk: Buffer): boolean {
    const span = this.#delimiter.length - 1
    if (this.#state !== 'content' || this.#rest.length > span || chunk.length < span) return false
    if (Buffer.concat([this.#rest, chunk.subarray(0, span)]).includes(this.#delimiter)) return false
    this.#part?.take(this.#rest)
    return true
  }

  #step(): boolean {
    switch (this.#state) {
      case 'preamble':
      case 'content':
        return this.#readContent()
      case 'boundary':
        return this.#readBoundary()
      case 'headers':
        return this.#readHeaders()
      case 'epilogue':
        this.#rest = Buffer.alloc(0)
        return false
      default:
        return this.#state satisfies never
    }
  }

  #readContent(): boolean {
    const found = this.#rest.indexOf(this.#delimiter)
    const end = found === -1 ? Math.max(0, this.#rest.length - this.#delimiter.length + 1) : found
    this.#part?.take(this.#rest.subarray(0, end))
    if (found === -1) {
      this.#rest = this.#rest.subarray(end)
      return false
    }
    this.#close()
    this.#rest = this.#rest.subarray(found + this.#delimiter.length)
    this.#state = 'boundary'
    return true
  }

  #readBoundary(): boolean {
    if (this.#rest.length < 2) return false
    const after = this.#rest.toString('latin1', 0, 2)
    this.#rest = this.#rest.subarray(2)
    if (after === '--') this.#state = 'epilogue'
    else if (after === '\r\n') this.#state = 'headers'
    else throw badForm('has a damaged boundary')
    return true
  }

  #readHeaders(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end === -1) {
      if (this.#rest.length > mostHeaderBytes) throw badForm('has a part with too many headers')
      return false
    }
    if (++this.#parts > mostParts) throw badForm('has too many parts')
    this.#part = new OpenPart(this.#rest.toString('utf8', 0, end))
    this.#rest = this.#rest.subarray(end + 4)
    this.#state = 'content'
    return true
  }

  #close(): void {
    const part = this.#part
    this.#part = null
    if (part === null) return
    if (part.filename === null) this.#fields.set(part.field, part.text())
    else this.#files.push({ field: part.field, filename: part.filename, bytes: part.bytes })
  }
}

class OpenPart {
  readonly field: string
  readonly filename: string | null
  readonly #chunks: Buffer[] = []
  bytes = 0

  constructor(headers: string) {
    const disposition = /^content-disposition:\s*form-data(;.*)$/im.exec(headers)?.[1] ?? ''
    const field = /;\s*name="([^"]*)"/i.exec(disposition)?.[1]
    if (field === undefined) throw badForm('has a part without a name')
    this.field = field
    this.filename = /;\s*filename="([^"]*)"/i.exec(disposition)?.[1] ?? null
  }

  take(bytes: Buffer): void {
    this.bytes += bytes.length
    if (this.filename !== null) return
    if (this.bytes > mostFieldBytes) throw new LatchkeyError('body_too_large')
    this.#chunks.push(bytes)
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString()
  }
}

function badForm(what: string): LatchkeyError {
  return new LatchkeyError('invalid_request', { message: `The form ${what}.` })
}
