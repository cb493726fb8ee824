import type { ServerResponse } from 'node:http'
import type { Clock } from '@latchkey/shared'
import type { Dispatcher } from 'undici'
import type { BodyTap } from '../capture/body-tap.ts'
import type { Endpoint, Provider, WireError } from '../providers/provider.ts'
import type { AttemptEnd, Reached } from './attempt-end.ts'
import { ClientWriter, type Source } from './client-writer.ts'
import { GatheredBytes } from './gathered-bytes.ts'
import { CutByGateway } from './in-flight.ts'
import { InterimAnswers } from './interim-answers.ts'
import { createMeter, type Meter } from './meter.ts'
import { filterModelList } from './model-list.ts'
import { passedBytes } from './passing-memory.ts'
import {
  headerValue,
  type ReceivedHeaders,
  type ResponseHeaders,
  responseHeaders,
  withoutHeaders,
} from './response-headers.ts'
import { UsageEventCutter } from './usage-event-cutter.ts'

/** What the relay of one attempt must know of the request and of the house. */
export interface RelayPlan {
  readonly outgoing: ServerResponse
  readonly provider: Provider
  readonly endpoint: Endpoint | null
  readonly path: string
  readonly hideUsage: boolean
  /** The models that a list may show; null: all. */
  readonly visibleModels: readonly string[] | null
  /** Headers of ours, and those that browsers ask for. */
  readonly ownHeaders: readonly string[]
  readonly clock: Clock
  /** Whether an answer of that status is thrown away because another attempt follows. */
  readonly discards: (status: number, retryAfter: string | null) => boolean
  /** What a client is told when a stream breaks off with `error`. */
  readonly brokenStream: (error: Error) => WireError
  /** Keeps what passes of the answer; null: nobody does. */
  readonly tap: BodyTap | null
  /** How long a client may stop reading. */
  readonly idleTimeoutMs: number
}

/** Answers up to this size go out in one write, with their head. */
const wholeBytes = 64 * 1024
const mostListBytes = 8 * 2 ** 20
/** How long, and for how many bytes, an answer is read on for its usage after the client has left. */
const drainMs = 10_000
const drainBytes = 2 ** 20

const clientGone = new Error('the client has left')
const discarded = new Error('the answer is discarded')

/**
 * Passes one upstream answer to the client, byte for byte and with back-pressure both ways, and ends
 * exactly once. A stream that breaks upstream breaks for the client: it never ends cleanly. When the
 * client leaves, an answer that will tell its usage is read on for a while; what it cost is known then.
 */
export class Relay implements Dispatcher.DispatchHandler, Source {
  readonly #plan: RelayPlan
  readonly #end: (end: AttemptEnd) => void
  readonly #writer: ClientWriter
  #interim: InterimAnswers | null = null
  #controller: Dispatcher.DispatchController | null = null
  #ended = false
  #gone = false
  #drainTimer: NodeJS.Timeout | null = null
  #drained = 0

  #status = 0
  #headers: ResponseHeaders | null = null
  #meter: Meter | null = null
  #cutter: UsageEventCutter | null = null
  /** An answer that is passed on when all of it is there. */
  #whole: GatheredBytes | null = null
  /** What has come in this tick of an answer that is passed on as it comes. */
  #arrived: Buffer[] = []
  #scheduled = false
  #bytes = 0
  #firstByteAt: number | null = null

  constructor(plan: RelayPlan, end: (end: AttemptEnd) => void) {
    this.#plan = plan
    this.#end = end
    this.#writer = new ClientWriter(plan.outgoing, this, plan.idleTimeoutMs)
    plan.outgoing.once('close', this.#onClientClose)
  }

  /** Breaks the attempt off with `reason`, as if the upstream had failed with it. */
  abort(reason: Error): void {
    if (this.#ended) return
    if (this.#controller === null) this.onResponseError(null, reason)
    else this.#controller.abort(reason)
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // A request may wait for a connection; by then there may be nobody left to answer, and nothing was sent.
    if (this.#gone || this.#ended) controller.abort(clientGone)
    else this.#controller = controller
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    received: ReceivedHeaders,
  ): void {
    if (this.#ended) return
    if (status < 200) {
      this.#interim ??= new InterimAnswers(this.#plan.outgoing)
      if (!this.#interim.take(status, received))
        controller.abort(new Error('the provider sent too many 1xx answers'))
      return
    }
    const headers = responseHeaders(received)
    const retryAfter = headerValue(headers.flat, 'retry-after')
    if (!this.#gone && this.#plan.discards(status, retryAfter)) {
      this.#finish({ kind: 'discarded', status, retryAfter })
      return
    }
    this.#status = status
    this.#headers = headers
    this.#firstByteAt = this.#plan.clock.monotonic()
    this.#begin(controller, headers)
  }

  /** Decides what becomes of the answer, which its head tells. */
  #begin(controller: Dispatcher.DispatchController, headers: ResponseHeaders): void {
    const { endpoint, provider, hideUsage, tap } = this.#plan
    tap?.begin(headers.mediaType ?? '', headers.encoded)
    const success = this.#status < 300
    const events = headers.mediaType === 'text/event-stream'
    if (tellsUsage(endpoint) !== 'never' && success)
      this.#meter = createMeter(provider, headers.mediaType, headers.encoded)
    if (hideUsage && success && events && !headers.encoded) this.#cutter = new UsageEventCutter()
    const filtered = this.#filtersModels()
    const small = headers.contentLength !== null && headers.contentLength <= wholeBytes && !events
    const unreadable = unreadableBy(headers, filtered)
    if (filtered || small || unreadable !== null) this.#whole = new GatheredBytes()
    else if (!this.#gone) {
      this.#writer.begin(this.#status, this.#head(this.#cutter !== null))
      this.#schedule()
    }
    if (unreadable !== null) controller.abort(new Error(unreadable))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#ended) {
      // What is left of a discarded answer is read so that its connection can be used again.
      if (this.#bytes > wholeBytes) controller.abort(discarded)
      return
    }
    if (this.#gone) {
      this.#lookAt(chunk)
      this.#drained += chunk.length
      if (this.#drained > drainBytes) controller.abort(clientGone)
      return
    }
    if (this.#whole !== null) {
      this.#whole.append(chunk)
      if (this.#bytes > mostListBytes)
        controller.abort(new Error('the list of models is too large to filter'))
      return
    }
    this.#arrived.push(chunk)
    this.#schedule()
  }

  /** Once a tick: a burst of a hundred events is copied, looked at and written once. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(passOn, this)
  }

  /** Passes on what has come in this tick, and the head before it. */
  passOn(): void {
    this.#scheduled = false
    if (this.#ended || this.#gone) return
    const passing = this.#passing()
    if (passing.length > 0) this.#writer.write(passing)
    else this.#writer.flush()
  }

  /** What has come in this tick, metered, less what is cut out of it. */
  #passing(): Buffer {
    const bytes = this.#takeArrived()
    return this.#cutter === null || bytes.length === 0 ? bytes : this.#cutter.push(bytes)
  }

  #takeArrived(): Buffer {
    const bytes = joined(this.#arrived)
    this.#arrived = []
    if (bytes.length > 0) this.#lookAt(bytes)
    passedBytes(bytes.length, this.#bytes)
    return bytes
  }

  onResponseEnd(): void {
    if (this.#ended) return
    if (!this.#gone) {
      if (this.#whole !== null) this.#answerWhole(this.#takeWhole(this.#whole))
      else {
        const passing = this.#passing()
        this.#writer.end(this.#cutter === null ? passing : joined([passing, this.#cutter.end()]))
      }
    }
    this.#finishAnswered(true)
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#ended) return
    if (this.#gone) {
      if (this.#headers === null) this.#finish({ kind: 'disconnected', ...this.#reached() })
      else this.#finishAnswered(false)
      return
    }
    if (this.#headers === null || this.#whole !== null) {
      this.#finish({ kind: 'failed', error, ...this.#reached() })
      return
    }
    this.passOn()
    const { provider, path, brokenStream } = this.#plan
    const events = this.#headers.mediaType === 'text/event-stream' && !this.#headers.encoded
    this.#writer.breakOff(events ? provider.streamError(path, brokenStream(error)) : null)
    this.#finishAnswered(false)
  }

  readonly #onClientClose = (): void => {
    if (this.#ended) return
    const { errored } = this.#plan.outgoing
    if (errored instanceof CutByGateway) {
      this.abort(errored)
      return
    }
    this.#gone = true
    // The rest is for the meter alone.
    if (this.#whole !== null) this.#takeWhole(this.#whole)
    else this.#takeArrived()
    const worthwhile =
      this.#headers === null ? tellsUsage(this.#plan.endpoint) === 'always' : this.#meter !== null
    if (this.#controller === null || !worthwhile) {
      this.abort(clientGone)
      return
    }
    this.#drainTimer = setTimeout(() => this.abort(clientGone), drainMs)
  }

  #filtersModels(): boolean {
    const { visibleModels, endpoint } = this.#plan
    return visibleModels !== null && endpoint?.listsModels === true && this.#status < 300
  }

  /** The head for the client; `changed`: what is changed on its way has another length, and is another thing to a cache. */
  #head(changed: boolean): string[] {
    const flat = this.#headers?.flat ?? []
    const passing = changed ? withoutHeaders(flat, ['content-length', 'etag']) : flat
    return [...passing, ...this.#plan.ownHeaders]
  }

  #takeWhole(whole: GatheredBytes): Buffer {
    const bytes = whole.take()
    this.#lookAt(bytes)
    return bytes
  }

  /** Shows what has come to whoever reads along. */
  #lookAt(bytes: Buffer): void {
    this.#meter?.push(bytes)
    this.#plan.tap?.push(bytes)
  }

  #answerWhole(body: Buffer): void {
    const { visibleModels, outgoing } = this.#plan
    if (visibleModels === null || !this.#filtersModels()) {
      this.#writer.answer(this.#status, this.#head(false), body)
    } else if (outgoing.req.method === 'HEAD') {
      this.#writer.answer(this.#status, this.#head(true), body)
    } else {
      const filtered = filterModelList(body, visibleModels)
      const head = ['content-length', String(filtered.length), ...this.#head(true)]
      this.#writer.answer(this.#status, head, filtered)
    }
  }

  #finishAnswered(whole: boolean): void {
    const reading = this.#meter?.read() ?? null
    const expected = tellsUsage(this.#plan.endpoint) === 'always' && this.#status < 300
    this.#finish({
      kind: 'answered',
      answer: {
        status: this.#status,
        streamed: this.#headers?.mediaType === 'text/event-stream',
        reading,
        usageMissing: expected && reading === null,
        whole,
        truncated: !whole && !this.#gone,
        disconnected: this.#gone,
        revoked: cutAsRevoked(this.#plan.outgoing.errored),
        bytes: this.#bytes,
        firstByteAt: this.#firstByteAt,
      },
    })
  }

  #reached(): Reached {
    return { sent: this.#controller !== null, status: this.#headers === null ? null : this.#status }
  }

  #finish(end: AttemptEnd): void {
    this.#ended = true
    if (this.#drainTimer !== null) clearTimeout(this.#drainTimer)
    this.#plan.outgoing.off('close', this.#onClientClose)
    this.#end(end)
  }
}

function cutAsRevoked(error: Error | null): boolean {
  return error instanceof CutByGateway && error.code === 'revoked_api_key'
}

function passOn(relay: Relay): void {
  relay.passOn()
}

const nothing = Buffer.alloc(0)

function joined(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks
  if (first === undefined) return nothing
  return chunks.length === 1 ? first : Buffer.concat(chunks)
}

function tellsUsage(endpoint: Endpoint | null): Endpoint['tellsUsage'] {
  return endpoint?.tellsUsage ?? 'never'
}

/** Why an answer must not be passed on, or null. We asked for it plain. */
function unreadableBy({ transferCoded, encoded }: ResponseHeaders, filtered: boolean): string | null {
  if (transferCoded) return 'the answer came in a transfer coding'
  // What can't be read can't be filtered, and is not shown unfiltered.
  return filtered && encoded ? 'the list of models came encoded' : null
}
