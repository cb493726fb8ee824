import type { RequestRecord } from '../records/request-record.ts'
import type { AttemptEnd } from './attempt-end.ts'
import type { Candidate } from './authorize.ts'

/** Makes spans of requests, for distributed traces. Nothing of it waits or throws. */
export interface Tracer {
  /** Follows the request with these headers, which arrived at `startedAt` (wall clock) and `started` (monotonic). */
  follow(rawHeaders: readonly string[], startedAt: number, started: number): RequestTrace
}

/** One request on its way through the gateway. */
export interface RequestTrace {
  /** An attempt is about to be sent; null where nobody wants to know, and the client's context goes on as it came. */
  attempt(candidate: Candidate): AttemptTrace | null
  /** The request is over: now its spans are made. A request that never gets here leaves none. */
  end(record: RequestRecord): void
}

/** One attempt, as the provider is to see it in the trace. */
export interface AttemptTrace {
  /** W3C Trace Context in place of the client's: name, value, name, value…. */
  readonly headers: readonly string[]
  end(end: AttemptEnd): void
}
