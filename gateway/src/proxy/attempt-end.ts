import type { Reading } from '../providers/provider.ts'
import type { Refusal } from './refusal.ts'

/** How one attempt ended. Only `answered` wrote to the client. */
export type AttemptEnd =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'discarded'; readonly status: number; readonly retryAfter: string | null }
  | ({ readonly kind: 'failed'; readonly error: Error } & Reached)
  | ({ readonly kind: 'disconnected' } & Reached)

/** What became of an attempt, whether it went out or not. */
export type AttemptResult =
  | AttemptEnd
  /** Nothing went out; `refusal` null: the client has left before. `passedOver`: its budgets or limits refused it. */
  | { readonly kind: 'unsent'; readonly refusal: Refusal | null; readonly passedOver: boolean }
  /** The sealed provider key does not open; another one may. */
  | { readonly kind: 'damaged' }

/** One that has no answer, where another may be made. */
export type Unanswered = Exclude<AttemptResult, { readonly kind: 'answered' | 'disconnected' | 'unsent' }>

/** How far an attempt came that has no answer to show. */
export interface Reached {
  /** Whether some of it may have been written: then the provider may have acted on it. */
  readonly sent: boolean
  /** The status with which the provider had begun to answer: it has done the work and must not be asked again. */
  readonly status: number | null
}

/** What passed through, for the books. Times are monotonic milliseconds. */
export interface Answer {
  readonly status: number
  readonly streamed: boolean
  readonly reading: Reading | null
  readonly usageMissing: boolean
  /** Whether it came to the end that the provider gave it. Else what it told of its usage may not be the last word. */
  readonly whole: boolean
  readonly truncated: boolean
  readonly disconnected: boolean
  /** The client was cut off in the middle of it, because its key is compromised. */
  readonly revoked: boolean
  readonly bytes: number
  readonly firstByteAt: number | null
}
