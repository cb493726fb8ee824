import { catalogue, LatchkeyError } from '@latchkey/shared'
import type { Usage } from './usage.ts'

/** One event of a stream, or one part of a long body. */
export interface Piece {
  readonly data: string | Uint8Array
  /** Output tokens that had been generated for this piece and for none before it. */
  readonly outputTokens: number
  /** Whether the answer's usage stands in this piece. */
  readonly reports: boolean
}

/** What an endpoint answers, before anything is broken or delayed on the way. */
export type Answer =
  | {
      readonly kind: 'whole'
      readonly status: number
      readonly contentType: string
      readonly headers?: Readonly<Record<string, string>>
      readonly body: string
      /** What the provider bills; null where nothing was generated. */
      readonly usage: Usage | null
      readonly reports: boolean
    }
  | {
      readonly kind: 'pieces'
      readonly contentType: string
      /** Made while they are sent, so that a long answer never stands in memory. */
      readonly pieces: Iterable<Piece>
      /** Bytes of all pieces; null where the body is sent in chunks. */
      readonly length: number | null
      readonly usage: Usage | null
    }

/** A JSON answer with status 200. `usage` is what is billed; `reports`, whether `value` states it. */
export function jsonAnswer(value: unknown, usage: Usage | null = null, reports = usage !== null): Answer {
  return {
    kind: 'whole',
    status: 200,
    contentType: 'application/json',
    body: JSON.stringify(value),
    usage,
    reports,
  }
}

export function textAnswer(body: string, usage: Usage | null): Answer {
  return { kind: 'whole', status: 200, contentType: 'text/plain; charset=utf-8', body, usage, reports: false }
}

/** A stream of server-sent events. */
export function eventsAnswer(pieces: Iterable<Piece>, usage: Usage | null): Answer {
  return { kind: 'pieces', contentType: 'text/event-stream; charset=utf-8', pieces, length: null, usage }
}

export interface ErrorBody {
  readonly status: number
  readonly type: string
  readonly code: string | null
  readonly message: string
  readonly param?: string | null
  readonly headers?: Readonly<Record<string, string>>
}

/** An error in OpenAI's wire shape. */
export function errorAnswer(error: ErrorBody): Answer {
  const { status, type, code, message, param = null, headers = {} } = error
  return {
    kind: 'whole',
    status,
    contentType: 'application/json; charset=utf-8',
    headers,
    body: JSON.stringify({ error: { message, type, param, code } }),
    usage: null,
    reports: false,
  }
}

/** A thrown fault in OpenAI's wire shape; what is not of the catalogue is an `internal_error`. */
export function faultAnswer(error: unknown): Answer {
  const code = error instanceof LatchkeyError ? error.code : 'internal_error'
  const { status, type } = catalogue[code]
  const message = error instanceof Error ? error.message : catalogue[code].message
  const param = error instanceof LatchkeyError ? error.param : null
  return errorAnswer({ status, type, code, message, param })
}
