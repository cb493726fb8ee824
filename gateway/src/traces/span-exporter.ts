import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Clock,
  errorFields,
  type Log,
  type LogFields,
  type RandomBytes,
  type Secret,
} from '@latchkey/shared'
import { Agent, request } from 'undici'
import { z } from 'zod'
import { otlpJson, type Resource } from './otlp-json.ts'
import type { Span, SpanSink } from './span.ts'

/** A header that every export carries: a credential, mostly. */
export interface ExportHeader {
  readonly name: string
  readonly value: Secret
}

export interface SpanExporterOptions {
  /** Where spans are posted, as OTLP/HTTP in JSON. */
  readonly url: string
  readonly headers: readonly ExportHeader[]
  readonly resource: Resource
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  readonly limits?: Partial<ExportLimits>
}

export interface ExportLimits {
  /** Spans that wait. What comes on top is dropped. */
  readonly queued: number
  readonly batch: number
  /** How long the first span of a batch waits for others, in milliseconds. */
  readonly delayMs: number
  /** The pause before a batch is sent again; doubled each time, up to thirty times as much. */
  readonly retryMs: number
  /** How often a batch is sent at the most. */
  readonly tries: number
}

const defaultLimits: ExportLimits = { queued: 4096, batch: 250, delayMs: 1000, retryMs: 1000, tries: 6 }
const answerWithinMs = 10_000
/** The only statuses at which OTLP has a client try again. */
const retryable = new Set([429, 502, 503, 504])

const partial = z.object({
  partialSuccess: z.object({ rejectedSpans: z.coerce.number().int().nonnegative() }).optional(),
})

type Delivery =
  | { readonly kind: 'delivered'; readonly rejected: number }
  | { readonly kind: 'refused'; readonly fields: LogFields }
  | { readonly kind: 'failed'; readonly retryAfterMs: number | null; readonly fields: LogFields }

/**
 * Posts spans to an OpenTelemetry collector, in batches and behind the requests' backs. Nobody waits for it: where
 * the collector is away or slow, spans are dropped and counted.
 */
export class SpanExporter implements SpanSink {
  readonly #options: SpanExporterOptions
  readonly #limits: ExportLimits
  readonly #agent = new Agent({ connections: 1, connect: { timeout: answerWithinMs } })
  #queue: Span[] = []
  #timer: NodeJS.Timeout | null = null
  #working: Promise<void> | null = null
  #exported = 0
  #dropped = 0
  #failing = false
  #tries: number
  readonly #hurry = new AbortController()
  /** Ends what is on its way when the time of `close` is over. */
  readonly #stop = new AbortController()

  constructor(options: SpanExporterOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#tries = this.#limits.tries
  }

  /** Spans that the collector has taken. */
  get exported(): number {
    return this.#exported
  }

  /** Spans that found no place, or that the collector did not take. */
  get dropped(): number {
    return this.#dropped
  }

  /** Spans that wait. */
  get queued(): number {
    return this.#queue.length
  }

  add(span: Span): void {
    if (this.#queue.length >= this.#limits.queued) {
      this.#dropped++
      return
    }
    this.#queue.push(span)
    this.#schedule()
  }

  /** Sends what waits, each batch once, until `deadline` (monotonic); what is left then is dropped. */
  async close(deadline: number): Promise<void> {
    this.#tries = 1
    this.#hurry.abort()
    const left = Math.max(0, deadline - this.#options.clock.monotonic())
    const late = setTimeout(() => this.#stop.abort(), left)
    do {
      this.#work()
      await this.#working
    } while (this.#working !== null || this.#queue.length > 0)
    clearTimeout(late)
    await this.#agent.destroy()
  }

  #schedule(): void {
    if (this.#working !== null) return
    if (this.#queue.length >= this.#limits.batch) this.#work()
    else this.#timer ??= setTimeout(() => this.#work(), this.#limits.delayMs).unref()
  }

  #work(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#working !== null || this.#queue.length === 0) return
    this.#working = this.#exportAll().finally(() => {
      this.#working = null
      if (this.#queue.length > 0) this.#schedule()
    })
  }

  /** Full batches, and what is left once the first of them waited. */
  async #exportAll(): Promise<void> {
    do {
      const batch = this.#queue.splice(0, this.#limits.batch)
      await this.#export(batch)
    } while (
      this.#queue.length >= this.#limits.batch ||
      (this.#hurry.signal.aborted && this.#queue.length > 0)
    )
  }

  async #export(batch: readonly Span[]): Promise<void> {
    const body = await otlpJson(batch, this.#options.resource)
    for (let tries = 1; ; tries++) {
      const delivery = await this.#post(body)
      if (delivery.kind === 'delivered') {
        this.#exported += batch.length - delivery.rejected
        this.#dropped += delivery.rejected
        this.#recovered()
        return
      }
      this.#failed(delivery.fields)
      if (delivery.kind === 'refused' || tries >= this.#tries) {
        this.#dropped += batch.length
        return
      }
      await this.#pause(delivery.retryAfterMs ?? this.#backoffMs(tries))
    }
  }

  async #post(body: string): Promise<Delivery> {
    const { url, headers } = this.#options
    try {
      const answer = await request(url, {
        method: 'POST',
        headers: {
          ...Object.fromEntries(headers.map(({ name, value }) => [name, value.reveal()])),
          'content-type': 'application/json',
        },
        body,
        dispatcher: this.#agent,
        headersTimeout: answerWithinMs,
        bodyTimeout: answerWithinMs,
        signal: this.#stop.signal,
      })
      const { statusCode: status } = answer
      const text = await answer.body.text()
      if (status < 300) return { kind: 'delivered', rejected: rejectedOf(text) }
      const fields = { status }
      if (!retryable.has(status)) return { kind: 'refused', fields }
      return { kind: 'failed', retryAfterMs: retryAfterMs(answer.headers['retry-after']), fields }
    } catch (error) {
      return { kind: 'failed', retryAfterMs: null, fields: errorFields(error) }
    }
  }

  /** With jitter, so that processes that lost the same collector don't come back at once. */
  #backoffMs(tries: number): number {
    const most = this.#limits.retryMs * Math.min(30, 2 ** (tries - 1))
    return most * (0.5 + (this.#options.random(1)[0] ?? 0) / 512)
  }

  async #pause(milliseconds: number): Promise<void> {
    try {
      await sleep(milliseconds, undefined, { signal: this.#hurry.signal, ref: false })
    } catch {
      // We are closing: once more, at once.
    }
  }

  #failed(fields: LogFields): void {
    if (!this.#failing) this.#options.log.warn('traces.export_failed', fields)
    this.#failing = true
  }

  #recovered(): void {
    if (this.#failing) this.#options.log.info('traces.export_restored', { count: this.#dropped })
    this.#failing = false
  }
}

/** How many spans of a batch the collector says that it did not take. */
function rejectedOf(text: string): number {
  try {
    return partial.parse(JSON.parse(text)).partialSuccess?.rejectedSpans ?? 0
  } catch {
    // It has answered 200: it has taken them, whatever else it says.
    return 0
  }
}

const longestRetryAfterMs = 30_000

function retryAfterMs(header: string | string[] | undefined): number | null {
  const seconds = typeof header === 'string' && /^[0-9]{1,6}$/.test(header) ? Number(header) : null
  return seconds === null ? null : Math.min(longestRetryAfterMs, seconds * 1000)
}
