import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, errorFields, type Log, type RandomBytes, type RequestId, uuidv7 } from '@latchkey/shared'
import type { Principal } from '@latchkey/vault'
import type { Provider } from '../providers/provider.ts'
import type { Recorder } from '../records/recorder.ts'
import type { RequestRecord } from '../records/request-record.ts'
import { copied, readAnnotations } from './annotations.ts'
import { answerRefusal } from './answer-refusal.ts'
import type { Observer } from './observer.ts'
import type { OwnTime } from './own-time.ts'
import type { Ask } from './read.ts'
import { type Refusal, refuse } from './refusal.ts'
import { type Arrival, unsentRecord } from './settle.ts'
import type { Target } from './target.ts'
import type { RequestTrace, Tracer } from './tracer.ts'

/** One request and its answer, on the client's side. Refusals leave through it. */
export interface Exchange {
  readonly arrival: Arrival
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** Whose wire shape the client expects. */
  readonly provider: Provider
  readonly ownHeaders: readonly string[]
  readonly ownTime: OwnTime
  /** Null where nobody traces. */
  readonly trace: RequestTrace | null
}

export interface ExchangePorts {
  readonly recorder: Recorder
  readonly observer: Observer
  /** Null: requests are not traced. */
  readonly tracer: Tracer | null
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}

/** Notes what is known of a request from its head. */
export function arrive(
  ports: ExchangePorts,
  incoming: IncomingMessage,
  target: Target | Refusal,
  clientIp: string,
): Arrival {
  return {
    requestId: uuidv7<RequestId>(ports.clock, ports.random),
    method: incoming.method ?? '',
    endpoint: target.kind === 'target' ? endpointOf(target, incoming.url) : '',
    clientIp,
    annotations: readAnnotations(incoming.rawHeaders),
    startedAt: ports.clock.now(),
    started: ports.clock.monotonic(),
  }
}

/** The whole of a URL keeps nothing else alive. */
function endpointOf({ endpoint }: Target, url: string | undefined): string {
  return endpoint === url ? endpoint : copied(endpoint)
}

/** Refuses a request whose key is not known: counted by code, never recorded, so a flood adds no rows. */
export function refuseUnknown(ports: ExchangePorts, exchange: Exchange, refusal: Refusal): void {
  answer(exchange, refusal)
  ports.recorder.countRefusal(refusal.code)
  ports.observer.refused(refusal.code)
  if (ports.log.debugging) {
    ports.log.debug('request.refused', {
      requestId: exchange.arrival.requestId,
      code: refusal.code,
      address: exchange.arrival.clientIp,
    })
  }
}

/** Refuses, or gives up where the client has left (`refusal` null), a request of a known key before it was sent. */
export function refuseKnown(
  ports: ExchangePorts,
  exchange: Exchange,
  principal: Principal,
  ask: Ask | null,
  refusal: Refusal | null,
): void {
  if (refusal === null) exchange.outgoing.destroy()
  else answer(exchange, refusal)
  const record = unsentRecord(exchange.arrival, principal, ask, refusal, ports.clock.monotonic())
  ports.recorder.recordRefusal(record)
  tell(ports, exchange, record, null)
}

/** Tells those who watch that a request of a known key is over. `providerKeyName` is that of its last attempt. */
export function tell(
  { observer }: ExchangePorts,
  { ownTime, trace }: Exchange,
  record: RequestRecord,
  providerKeyName: string | null,
): void {
  observer.ended(record, providerKeyName, ownTime.milliseconds)
  trace?.end(record)
}

/** Answers a request that failed inside. What went wrong is for the log alone. */
export function failInside(ports: ExchangePorts, exchange: Exchange, error: unknown): void {
  ports.log.error('request.failed', { requestId: exchange.arrival.requestId, ...errorFields(error) })
  answer(exchange, refuse('internal_error'))
}

function answer({ incoming, outgoing, provider, ownHeaders }: Exchange, refusal: Refusal): void {
  answerRefusal(incoming, outgoing, provider, refusal, ownHeaders)
}
