import type { CapturedBody } from './captured-body.ts'
import { redact, withoutCutEnd } from './redact.ts'

/** A kept body as a person reads it. */
export interface KeptBody {
  readonly mediaType: string
  /** Of the whole body as it passed. */
  readonly bytes: number
  /** Whether more has passed than is kept. */
  readonly truncated: boolean
  /** Redacted; null: of what is no text, nothing is kept. */
  readonly text: string | null
}

const headLength = 4
const longestMediaType = 200

/** The bytes that are sealed of a captured body: the length of a head, the head as JSON, the redacted text. */
export function encodeBody({ mediaType, bytes, truncated, content }: CapturedBody): Buffer {
  const text = content === null ? null : readable(content, truncated)
  const about = { mediaType: shortMediaType(mediaType), bytes, truncated, text: text !== null }
  const head = Buffer.from(JSON.stringify(about))
  const length = Buffer.alloc(headLength)
  length.writeUInt32BE(head.length)
  return Buffer.concat([length, head, Buffer.from(text ?? '')])
}

/** As much of a media type as is kept. A copy where it is long: by itself, V8 would keep the whole of it for a part. */
export function shortMediaType(mediaType: string): string {
  if (mediaType.length <= longestMediaType) return mediaType
  return Buffer.from(mediaType.slice(0, longestMediaType)).toString()
}

/** The inverse. Null where the bytes are none that `encodeBody` made. */
export function decodeBody(sealed: Uint8Array): KeptBody | null {
  const plaintext = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
  if (plaintext.length < headLength) return null
  const textStart = headLength + plaintext.readUInt32BE()
  try {
    const head: unknown = JSON.parse(plaintext.subarray(headLength, textStart).toString())
    if (!isHead(head)) return null
    const { mediaType, bytes, truncated, text } = head
    return { mediaType, bytes, truncated, text: text ? plaintext.subarray(textStart).toString() : null }
  } catch {
    return null
  }
}

/** The last character of a text that was cut may be half of one, and its last word half a secret. */
function readable(content: Uint8Array, truncated: boolean): string {
  const text = new TextDecoder().decode(content, { stream: truncated })
  return redact(truncated ? withoutCutEnd(text) : text)
}

interface Head {
  readonly mediaType: string
  readonly bytes: number
  readonly truncated: boolean
  readonly text: boolean
}

function isHead(value: unknown): value is Head {
  const head = value as Partial<Record<keyof Head, unknown>> | null
  return (
    typeof head === 'object' &&
    typeof head?.mediaType === 'string' &&
    typeof head.bytes === 'number' &&
    typeof head.truncated === 'boolean' &&
    typeof head.text === 'boolean'
  )
}
