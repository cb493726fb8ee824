import type { BodyDirection, OrganizationId, RequestId } from '@latchkey/shared'

/** The most bytes that are kept of a body. */
export const mostBodyBytes = 256 * 1024

/** One body as it passed, in the clear: in memory only, and not for long. */
export interface CapturedBody {
  readonly organizationId: OrganizationId
  readonly requestId: RequestId
  readonly direction: BodyDirection
  /** Without parameters, lower case; '' where none was said. */
  readonly mediaType: string
  /** Of the whole body as it passed, kept or not. */
  readonly bytes: number
  /** What is kept of it, `mostBodyBytes` at the most; null: of what is no text, nothing. */
  readonly content: Uint8Array | null
  /** Whether more has passed than is kept. */
  readonly truncated: boolean
  /** Bytes of the capture memory that it takes until it is written. */
  readonly held: number
}

/** Where captured bodies go. Nothing here waits, and nothing fails: what can't be kept is counted. */
export interface BodyRecorder {
  readonly memory: CaptureMemory
  keep(body: CapturedBody): void
}

/** Bytes that bodies take until they are written, over all requests. */
export interface CaptureMemory {
  /** False where there is no room; then nothing is taken, and a capture is counted as skipped. */
  take(bytes: number): boolean
  give(bytes: number): void
}

const textual =
  /^(?:text\/.*|application\/(?:json|xml|x-www-form-urlencoded|x-ndjson|ndjson|jsonl)|.*\+(?:json|xml))$/

/** Whether a body of this type, lower case and without parameters, is text that a person reads. */
export function isText(mediaType: string): boolean {
  return mediaType.length <= 200 && textual.test(mediaType)
}
