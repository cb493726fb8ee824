import type { ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Endpoint, Provider, Reading, WireError } from '../providers/provider.ts'
import { cutOff } from './cut-off.ts'
import { writeEarlyHints } from './early-hints.ts'
import { CutByShutdown } from './in-flight.ts'
import { createMeter, type Meter } from './meter.ts'
import { filterModelList } from './model-list.ts'
import { headerValue, type ResponseHeaders, responseHeaders, withoutHeaders } from './response-headers.ts'
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
  readonly monotonic: () => number
  /** Whether an answer of that status is thrown away because another attempt follows. */
  readonly discards: (status: number, retryAfter: string | null) => boolean
  /** What a client is told when a stream breaks off with `error`. */
  readonly brokenStream: (error: Error) => WireError
  /** How long a client may stop reading. */
  readonly idleTimeoutMs: number
}

/** How one attempt ended. Only `answered` wrote to the client. */
export type AttemptEnd =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'discarded'; readonly status: number; readonly retryAfter: string | null }
  /** `began`: the provider had begun to answer, so it has done the work and must not be asked again. */
  | { readonly kind: 'failed'; readonly error: Error; readonly began: boolean }
  | { readonly kind: 'disconnected' }

/** What passed through, for the books. Times are monotonic milliseconds. */
export interface Answer {
  readonly status: number
  readonly streamed: boolean
  readonly reading: Reading | null
  readonly usageMissing: boolean
  readonly truncated: boolean
  readonly disconnected: boolean
  readonly bytes: number
  readonly firstByteAt: number | null
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
 * exactly once. Chunks of one tick leave in one write. A stream that breaks upstream breaks for the
 * client: it never ends cleanly. When the client leaves, an answer that will tell its usage is read
 * on for a while; what it cost is known then.
 */
export class Relay implements Dispatcher.DispatchHandler {
  readonly #plan: RelayPlan
  readonly #end: (end: AttemptEnd) => void
  #controller: Dispatcher.DispatchController | null = null
  #ended = false
  #gone = false
  #drainTimer: NodeJS.Timeout | null = null
  #drained = 0

  #status = 0
  #headers: ResponseHeaders | null = null
  #meter: Meter | null = null
  #cutter: UsageEventCutter | null = null
  #whole: Buffer[] | null = null
  #pending: Buffer[] | null = null
  #headSent = false
  #atEventEnd = true
  #paused = false
  #bytes = 0
  #firstByteAt: number | null = null

  constructor(plan: RelayPlan, end: (end: AttemptEnd) => void) {
    this.#plan = plan
    this.#end = end
    plan.outgoing.once('close', this.#onClientClose)
  }

  /** Breaks the attempt off with `reason`, as if the upstream had failed with it. */
  abort(reason: Error): void {
    if (this.#ended) return
    if (this.#controller === null) this.onResponseError(null, reason)
    else this.#controller.abort(reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // A request may wait for a connection; by then there may be nobody left to answer, and nothing was sent.
    if (this.#gone || this.#ended) controller.abort(clientGone)
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#ended) return
    if (status < 200) {
      this.#informational(status)
      return
    }
    const raw = controller.rawHeaders
    const headers = responseHeaders(Array.isArray(raw) ? raw : [])
    const retryAfter = headerValue(headers.flat, 'retry-after')
    if (!this.#gone && this.#plan.discards(status, retryAfter)) {
      this.#finish({ kind: 'discarded', status, retryAfter })
      return
    }
    this.#status = status
    this.#headers = headers
    this.#firstByteAt = this.#plan.monotonic()
    const { endpoint, provider, hideUsage, visibleModels } = this.#plan
    const success = status < 300
    if (tellsUsage(endpoint) !== 'never' && success)
      this.#meter = createMeter(provider, headers.mediaType, headers.encoded)
    const events = headers.mediaType === 'text/event-stream'
    if (hideUsage && success && events && !headers.encoded) this.#cutter = new UsageEventCutter()
    const filtered = visibleModels !== null && endpoint?.listsModels === true && success
    // What is changed on its way has another length, and is another thing to a cache.
    if (filtered || this.#cutter !== null)
      this.#headers = { ...headers, flat: withoutHeaders(headers.flat, ['content-length', 'etag']) }
    const small = headers.contentLength !== null && headers.contentLength <= wholeBytes && !events
    if (filtered || small) this.#whole = []
    else this.#schedule()
    // We asked for it plain: what can't be read can't be filtered, and is not shown unfiltered.
    if (filtered && headers.encoded) controller.abort(new Error('the list of models came encoded'))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#ended) {
      // What is left of a discarded answer is read so that its connection can be used again.
      if (this.#bytes > wholeBytes) controller.abort(discarded)
      return
    }
    this.#meter?.push(chunk)
    if (this.#gone) {
      this.#drained += chunk.length
      if (this.#drained > drainBytes) controller.abort(clientGone)
      return
    }
    if (this.#whole !== null) {
      this.#whole.push(chunk)
      if (this.#bytes > mostListBytes)
        controller.abort(new Error('the list of models is too large to filter'))
      return
    }
    const passing = this.#cutter === null ? chunk : this.#cutter.push(chunk)
    if (passing.length === 0) return
    if (this.#pending === null) {
      this.#pending = [passing]
      this.#schedule()
    } else {
      this.#pending.push(passing)
    }
  }

  onResponseEnd(): void {
    if (this.#ended) return
    if (!this.#gone) {
      const rest = this.#cutter?.end()
      if (rest !== undefined && rest.length > 0) this.#pending = [...(this.#pending ?? []), rest]
      if (this.#whole !== null) this.#endWhole(this.#whole)
      else {
        this.#flush()
        this.#plan.outgoing.end()
      }
    }
    this.#finishAnswered(false)
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#ended) return
    if (this.#gone) {
      if (this.#headers === null) this.#finish({ kind: 'disconnected' })
      else this.#finishAnswered(false)
      return
    }
    if (this.#headers === null || (this.#whole !== null && !this.#headSent)) {
      this.#finish({ kind: 'failed', error, began: this.#headers !== null })
      return
    }
    this.#flush()
    this.#break(error)
    this.#finishAnswered(true)
  }

  readonly #onClientClose = (): void => {
    if (this.#ended) return
    const { errored } = this.#plan.outgoing
    if (errored instanceof CutByShutdown) {
      this.abort(errored)
      return
    }
    this.#gone = true
    this.#pending = null
    const worthwhile =
      this.#headers === null ? tellsUsage(this.#plan.endpoint) === 'always' : this.#meter !== null
    if (this.#controller === null || !worthwhile) {
      this.abort(clientGone)
      return
    }
    this.#drainTimer = setTimeout(() => this.abort(clientGone), drainMs)
    if (this.#paused) this.#controller.resume()
  }

  #informational(status: number): void {
    if (this.#gone) return
    if (status === 102) this.#plan.outgoing.writeProcessing()
    else if (status === 103) {
      const raw = this.#controller?.rawHeaders
      writeEarlyHints(this.#plan.outgoing, responseHeaders(Array.isArray(raw) ? raw : []).flat)
    }
  }

  #schedule(): void {
    process.nextTick(flushRelay, this)
  }

  /** Sends the head if it has not gone, and what has gathered in this tick. */
  flush(): void {
    if (!this.#gone && !this.#ended) this.#flush()
  }

  #flush(): void {
    const { outgoing } = this.#plan
    if (outgoing.destroyed) return
    this.#sendHead()
    const pending = this.#pending
    if (pending === null) {
      outgoing.flushHeaders()
      return
    }
    this.#pending = null
    const bytes = pending.length === 1 && pending[0] !== undefined ? pending[0] : Buffer.concat(pending)
    this.#atEventEnd = endsEvent(bytes)
    if (outgoing.write(bytes) || this.#paused || this.#ended) return
    this.#paused = true
    this.#controller?.pause()
    // The provider's own idle timeout rests while it is paused: the client must not hold both for ever.
    const idle = setTimeout(() => outgoing.destroy(), this.#plan.idleTimeoutMs)
    const resume = () => {
      clearTimeout(idle)
      outgoing.off('drain', resume).off('close', resume)
      this.#paused = false
      this.#controller?.resume()
    }
    outgoing.on('drain', resume).on('close', resume)
  }

  #sendHead(length: number | null = null): void {
    if (this.#headSent || this.#headers === null) return
    this.#headSent = true
    const { flat } = this.#headers
    const framing = length === null ? [] : ['content-length', String(length)]
    this.#plan.outgoing.writeHead(this.#status, [...flat, ...framing, ...this.#plan.ownHeaders])
  }

  #endWhole(chunks: readonly Buffer[]): void {
    const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
    const { visibleModels, endpoint, outgoing } = this.#plan
    if (visibleModels !== null && endpoint?.listsModels === true && outgoing.req.method !== 'HEAD') {
      const filtered = filterModelList(body, visibleModels)
      this.#sendHead(filtered.length)
      outgoing.end(filtered)
      return
    }
    this.#sendHead()
    outgoing.end(body)
  }

  /** Destroys the client's connection, so that no parser can take what came for a whole answer. */
  #break(error: Error): void {
    const { outgoing, provider, path, brokenStream } = this.#plan
    const events = this.#headers?.mediaType === 'text/event-stream'
    // Between events only, and never to a client that isn't reading: the error must not wait for it.
    if (outgoing.destroyed || !events || !this.#atEventEnd || this.#paused || this.#headers?.encoded) {
      cutOff(outgoing)
      return
    }
    outgoing.write(provider.streamError(path, brokenStream(error)), () => cutOff(outgoing))
  }

  #finishAnswered(truncated: boolean): void {
    const reading = this.#meter?.read() ?? null
    const expected = tellsUsage(this.#plan.endpoint) === 'always' && this.#status < 300
    this.#finish({
      kind: 'answered',
      answer: {
        status: this.#status,
        streamed: this.#headers?.mediaType === 'text/event-stream',
        reading,
        usageMissing: expected && reading === null,
        truncated,
        disconnected: this.#gone,
        bytes: this.#bytes,
        firstByteAt: this.#firstByteAt,
      },
    })
  }

  #finish(end: AttemptEnd): void {
    this.#ended = true
    if (this.#drainTimer !== null) clearTimeout(this.#drainTimer)
    this.#plan.outgoing.off('close', this.#onClientClose)
    this.#end(end)
  }
}

function tellsUsage(endpoint: Endpoint | null): Endpoint['tellsUsage'] {
  return endpoint?.tellsUsage ?? 'never'
}

function flushRelay(relay: Relay): void {
  relay.flush()
}

function endsEvent(bytes: Buffer): boolean {
  const end = bytes.toString('latin1', Math.max(0, bytes.length - 4))
  return end.endsWith('\n\n') || end.endsWith('\r\n\r\n')
}
