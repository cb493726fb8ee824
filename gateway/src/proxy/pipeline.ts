import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Cidr } from '@latchkey/shared'
import type { Principal, Verifier } from '@latchkey/vault'
import type { BodyRecorder } from '../capture/captured-body.ts'
import { openai } from '../providers/openai/openai.ts'
import { findProvider } from '../providers/registry.ts'
import { isLoop } from '../upstream/via.ts'
import { type Admission, type AdmitPorts, admit } from './admit.ts'
import { answerRefusal } from './answer-refusal.ts'
import { type Authentication, authenticate } from './authenticate.ts'
import { authorize } from './authorize.ts'
import type { BufferedBytes } from './buffered-bytes.ts'
import { clientAddress } from './client-address.ts'
import { corsHeaders, preflightHeaders } from './cors.ts'
import { cutOff } from './cut-off.ts'
import {
  arrive,
  type Exchange,
  type ExchangePorts,
  failInside,
  refuseKnown,
  refuseUnknown,
  tell,
} from './exchange.ts'
import { namesOneHost } from './header-names.ts'
import type { InFlight } from './in-flight.ts'
import { readLimitPolicy } from './limit-policy.ts'
import { linger } from './linger.ts'
import { OwnTime } from './own-time.ts'
import { readAsk } from './read.ts'
import { refuse } from './refusal.ts'
import { captureFor, type RequestCapture } from './request-capture.ts'
import { type SendPorts, send } from './send.ts'
import { conclude, unsentRecord } from './settle.ts'
import { Spending, type SpendingPorts } from './spending.ts'
import { parseTarget, type Target } from './target.ts'
import { Upload } from './upload.ts'

export interface ProxyPorts extends SendPorts, ExchangePorts, AdmitPorts, SpendingPorts {
  readonly verifier: Verifier
  readonly buffered: BufferedBytes
  readonly inFlight: InFlight
  /** Where bodies go that are to be kept. */
  readonly bodies: BodyRecorder
  readonly trustedProxies: readonly Cidr[]
  readonly corsOrigins: readonly string[]
}

/** Serves one request to its end, books included. What fails inside is a 500 and a log line. */
export async function proxy(
  ports: ProxyPorts,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const peer = incoming.socket.remoteAddress ?? ''
  const clientIp = clientAddress(
    peer,
    String(incoming.headers['x-forwarded-for'] ?? ''),
    ports.trustedProxies,
  )
  const target = parseTarget(incoming.url ?? '')
  const arrival = arrive(ports, incoming, target, clientIp)
  const named = target.kind === 'target' && target.provider !== null ? findProvider(target.provider) : null
  const cors = corsHeaders(incoming, ports.corsOrigins)
  const ownHeaders = ['latchkey-request-id', arrival.requestId, ...cors]
  const { started, startedAt } = arrival
  const exchange: Exchange = {
    arrival,
    incoming,
    outgoing,
    provider: named ?? openai,
    ownHeaders,
    ownTime: new OwnTime(ports.clock, started),
    trace: ports.tracer?.follow(incoming.rawHeaders, startedAt, started) ?? null,
  }
  ports.inFlight.add(outgoing)
  // A write that a leaving client crosses is reported here; `close` says all there is to know about it.
  outgoing.on('error', () => {})
  try {
    const preflight = preflightHeaders(incoming, ports.corsOrigins)
    if (preflight !== null) outgoing.writeHead(204, [...preflight]).end()
    else if (ports.inFlight.draining) refuseUnknown(ports, exchange, refuse('draining'))
    else if (isLoop(incoming.headers.via ?? null, ports.viaName))
      refuseUnknown(ports, exchange, refuse('loop_detected'))
    else if (!namesOneHost(incoming.rawHeaders))
      refuseUnknown(ports, exchange, refuse('invalid_request', { param: 'host' }))
    else if (target.kind === 'refused') refuseUnknown(ports, exchange, target)
    else await stages(ports, exchange, target)
  } catch (error) {
    failInside(ports, exchange, error)
    ports.observer.refused('internal_error')
  } finally {
    leave(ports, outgoing)
  }
}

/** Takes a request out of those in flight once its client has read the answer, or has stopped reading for too long. */
function leave(ports: ProxyPorts, outgoing: ServerResponse): void {
  if (outgoing.writableFinished || outgoing.destroyed) {
    ports.inFlight.remove(outgoing)
    return
  }
  // Where the kernel has taken all of it, there is no reader to wait for.
  const idle =
    outgoing.writableLength === 0 ? undefined : setTimeout(cutOff, ports.read.idleTimeoutMs, outgoing)
  outgoing.once('close', () => {
    clearTimeout(idle)
    ports.inFlight.remove(outgoing)
  })
}

/** One direction: each stage takes what the one before it gave. A refusal leaves where it arises. */
function stages(ports: ProxyPorts, exchange: Exchange, target: Target): Promise<void> | void {
  const { rawHeaders, url = '' } = exchange.incoming
  const goOn = (authenticated: Authentication) =>
    authenticated.kind === 'refused'
      ? refuseUnknown(ports, exchange, authenticated)
      : stagesOfKey(ports, exchange, target, authenticated.principal)
  const authenticating = authenticate(ports.verifier, rawHeaders, url)
  return authenticating instanceof Promise ? authenticating.then(goOn) : goOn(authenticating)
}

/** The stages behind authentication. Whatever happens here comes to exactly one record. */
async function stagesOfKey(
  ports: ProxyPorts,
  exchange: Exchange,
  target: Target,
  principal: Principal,
): Promise<void> {
  const { arrival, incoming, outgoing, ownHeaders, ownTime, trace } = exchange
  ports.inFlight.own(outgoing, principal.keyId)
  const share = ports.buffered.open(principal.keyId)
  let admission: Admission | null = null
  let capture: RequestCapture | null = null
  try {
    const grant = authorize(principal, arrival.method, target, arrival.clientIp, arrival.startedAt)
    if (grant.kind === 'refused') return refuseKnown(ports, exchange, principal, null, grant)

    const policy = readLimitPolicy(arrival.annotations)
    if (policy?.kind === 'refused') return refuseKnown(ports, exchange, principal, null, policy)

    const asking = readAsk(grant, policy, incoming, outgoing, share, ports.read, ownTime)
    const ask = asking instanceof Promise ? await asking : asking
    if (ask === null || ask.kind === 'refused') return refuseKnown(ports, exchange, principal, null, ask)

    const { requestId, method, startedAt } = arrival
    const spending = new Spending(
      ports,
      { method, endpoint: target.endpoint, fields: ask.fields, bytes: ask.fieldBytes, at: startedAt },
      { keyId: principal.keyId, clamps: principal.policy.fit === 'clamp' },
    )
    const uploads = ask.body instanceof Upload
    const admitting = admit(ports, { principal, candidates: grant.candidates, spending, uploads, policy })
    const admitted = admitting instanceof Promise ? await admitting : admitting
    if (admitted.kind === 'refused') return refuseKnown(ports, exchange, principal, ask, admitted)
    admission = admitted

    capture = captureFor(principal, arrival.annotations, requestId, ports.bodies)
    const { rawHeaders } = incoming
    const headers = admission.headers.length === 0 ? ownHeaders : [...ownHeaders, ...admission.headers]
    const sent = await send(ports, {
      requestId,
      grant,
      ask,
      method,
      rawHeaders,
      outgoing,
      spending,
      ownTime,
      trace,
      candidates: admission.candidates,
      limits: admission.attempts,
      tap: capture?.response ?? null,
      ownHeaders: headers,
    })
    // Refusals cost their client nothing: they must not fill the database with bodies.
    if (sent.attempts > 0) capture?.finish(incoming, ask, sent.kind === 'answered')
    // Before the answer: whatever becomes of that, what was spent is in the books.
    const record = conclude(admission, arrival, principal, ask, sent, spending, ports.clock.monotonic())
    if (sent.kind === 'failed')
      answerRefusal(incoming, outgoing, sent.candidate.provider, sent.refusal, headers)
    tell(ports, exchange, record, sent.candidate.providerKey.name)
    // An answer may come before the upload that it is about has ended.
    if (sent.kind === 'answered') linger(incoming)
  } catch (error) {
    failInside(ports, exchange, error)
    const record = unsentRecord(arrival, principal, null, refuse('internal_error'), ports.clock.monotonic())
    if (admission === null) ports.recorder.recordRefusal(record)
    else admission.record(record, null)
    tell(ports, exchange, record, null)
  } finally {
    share.close()
    capture?.drop()
  }
}
