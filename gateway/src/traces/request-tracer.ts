import type { Clock, RandomBytes } from '@latchkey/shared'
import type { AttemptEnd } from '../proxy/attempt-end.ts'
import type { Candidate } from '../proxy/authorize.ts'
import type { AttemptTrace, RequestTrace, Tracer } from '../proxy/tracer.ts'
import type { RequestRecord } from '../records/request-record.ts'
import type { SpanSink } from './span.ts'
import { type AttemptOutcome, attemptSpan, requestSpan, type SpanPlace } from './spans-of.ts'
import { readTraceContext, type TraceContext, traceHeaders } from './trace-context.ts'

export interface RequestTracerOptions {
  readonly sink: SpanSink
  readonly clock: Clock
  readonly random: RandomBytes
  /** The share of requests that are followed, from 0 to 1, where the caller has not decided. */
  readonly ratio: number
}

/** Makes spans of requests: one for each request of a known key, and below it one for each of its attempts. */
export class RequestTracer implements Tracer {
  readonly #options: RequestTracerOptions

  constructor(options: RequestTracerOptions) {
    this.#options = options
  }

  follow(rawHeaders: readonly string[], startedAt: number, started: number): RequestTrace {
    return new FollowedRequest(this.#options, rawHeaders, startedAt, started)
  }
}

/** The place of a request in its trace; undefined: nobody has asked for it. */
interface Root {
  readonly context: TraceContext | null
  readonly traceId: string
  readonly spanId: string
}

class FollowedRequest implements RequestTrace {
  readonly #options: RequestTracerOptions
  readonly #rawHeaders: readonly string[]
  readonly #startedAt: number
  readonly #started: number
  readonly #attempts: FollowedAttempt[] = []
  /** Undefined: not looked at yet; null: not followed. What is refused before is never looked at. */
  #root: Root | null | undefined

  constructor(
    options: RequestTracerOptions,
    rawHeaders: readonly string[],
    startedAt: number,
    started: number,
  ) {
    this.#options = options
    this.#rawHeaders = rawHeaders
    this.#startedAt = startedAt
    this.#started = started
  }

  attempt(candidate: Candidate): AttemptTrace | null {
    const root = this.#begin()
    if (root === null) return null
    const place = { traceId: root.traceId, spanId: hex(this.#options.random(8)), parentId: root.spanId }
    const state = root.context?.state ?? null
    const attempt = new FollowedAttempt(candidate, { ...place, state }, () => this.#now())
    this.#attempts.push(attempt)
    return attempt
  }

  end(record: RequestRecord): void {
    const root = this.#begin()
    if (root === null) return
    const { sink } = this.#options
    const { traceId, spanId, context } = root
    const parentId = context?.parentId ?? null
    const place = { traceId, spanId, parentId, state: context?.state ?? null }
    sink.add(requestSpan(place, this.#startedAt, this.#now(), record))
    for (const [index, attempt] of this.#attempts.entries())
      sink.add(attemptSpan(attempt.place, attempt.outcome(this.#now()), index, record))
  }

  #begin(): Root | null {
    if (this.#root === undefined) this.#root = this.#decide()
    return this.#root
  }

  #decide(): Root | null {
    const { random, ratio } = this.#options
    const context = readTraceContext(this.#rawHeaders)
    if (context?.sampled === false) return null
    const traceId = context?.traceId ?? hex(random(16))
    // As the conventions have it: of the id's last bytes, so that all who see the trace decide alike.
    if (context === null && Number.parseInt(traceId.slice(-13), 16) / 2 ** 52 >= ratio) return null
    return { context, traceId, spanId: hex(random(8)) }
  }

  /** Wall clock; it does not jump while a request lasts. */
  #now(): number {
    return this.#startedAt + this.#options.clock.monotonic() - this.#started
  }
}

class FollowedAttempt implements AttemptTrace {
  readonly place: SpanPlace
  readonly headers: readonly string[]
  readonly #candidate: Candidate
  readonly #now: () => number
  readonly #start: number
  #over: { readonly at: number; readonly end: AttemptEnd } | null = null

  constructor(candidate: Candidate, place: SpanPlace, now: () => number) {
    this.place = place
    this.headers = traceHeaders(place.traceId, place.spanId, place.state)
    this.#candidate = candidate
    this.#now = now
    this.#start = now()
  }

  end(end: AttemptEnd): void {
    this.#over = { at: this.#now(), end }
  }

  /** How it ended; `now` where nobody has said. */
  outcome(now: number): AttemptOutcome {
    return {
      candidate: this.#candidate,
      start: this.#start,
      at: this.#over?.at ?? now,
      end: this.#over?.end ?? null,
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
