import type { ServerResponse } from 'node:http'
import { type Clock, errorFields, type Log, type RandomBytes, type Secret } from '@latchkey/shared'
import type { BoundProviderKey, OpenedProviderKey } from '@latchkey/vault'
import type { Dispatcher } from 'undici'
import type { BodyTap } from '../capture/body-tap.ts'
import type { WireError } from '../providers/provider.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import { appendVia } from '../upstream/via.ts'
import type { Answer, AttemptEnd } from './attempt-end.ts'
import { type AttemptLimits, unlimitedAttempt } from './attempt-limits.ts'
import type { Candidate, Grant } from './authorize.ts'
import { wireError } from './fault-body.ts'
import { FormFunding } from './form-funding.ts'
import { CutByGateway } from './in-flight.ts'
import { withNumberField } from './output-cap.ts'
import type { OwnTime } from './own-time.ts'
import type { Ask } from './read.ts'
import { type Refusal, refuse } from './refusal.ts'
import { Relay } from './relay.ts'
import { forwardedHeaders } from './request-headers.ts'
import { type Failure, RetryPlan, retryAfterMs } from './retry.ts'
import type { Funding, Spending } from './spending.ts'
import type { RequestTrace } from './tracer.ts'
import { Upload, UploadRefused } from './upload.ts'
import type { ReadLimits } from './whole-body.ts'

/** What sending asks of the vault: to open a provider key, in process and without waiting. */
export interface ProviderKeyOpener {
  openProviderKey(key: BoundProviderKey): OpenedProviderKey
}

export interface SendPorts {
  readonly vault: ProviderKeyOpener
  readonly upstreams: Upstreams
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  readonly viaName: string
  readonly totalTimeoutMs: number
  readonly read: ReadLimits
}

/** The request as it is sent: who may carry it, what it asks, and the client's connection. */
export interface Sending {
  readonly requestId: string
  readonly grant: Grant
  /** In the order in which they are tried. */
  readonly candidates: Grant['candidates']
  readonly limits: AttemptLimits
  readonly ask: Ask
  readonly method: string
  readonly rawHeaders: readonly string[]
  readonly outgoing: ServerResponse
  readonly ownHeaders: readonly string[]
  readonly spending: Spending
  readonly ownTime: OwnTime
  readonly trace: RequestTrace | null
  /** Keeps what passes of the answer; null: nobody does. */
  readonly tap: BodyTap | null
}

/**
 * How a request ended at the provider. After `answered` the client has its answer; `failed` still needs one. Of the
 * attempts, those count that went out: none where the first one was refused its money or its key.
 */
export type Sent = {
  readonly attempts: number
  readonly candidate: Candidate
  /** Whether something of an attempt may have reached a provider. */
  readonly reached: boolean
} & (
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'failed'; readonly refusal: Refusal }
  | { readonly kind: 'disconnected' }
)

const totalTimeout = new Error('the total timeout has passed')

/**
 * Sends to the first provider key of the grant, and on to the next attempt while nothing has reached
 * the client and the policy allows it. Resolves when the answer has been relayed to its end, and
 * never rejects: an admitted request must come to its record.
 */
export async function send(ports: SendPorts, sending: Sending): Promise<Sent> {
  const progress: Progress = { count: 0, candidate: sending.candidates[0], reached: false }
  try {
    const { grant, candidates, ask, outgoing } = sending
    const plan = new RetryPlan(candidates, grant.principal.policy.retries, ports.random)
    const deadline = ports.clock.monotonic() + ports.totalTimeoutMs
    for (;;) {
      progress.count++
      const end = await attempt(ports, sending, progress.candidate, plan, deadline)
      if (end.kind === 'unsent' || end.kind === 'damaged') progress.count--
      progress.reached ||= hasReached(end)
      if (end.kind === 'answered') return { kind: 'answered', answer: end.answer, ...soFar(progress) }
      if (end.kind === 'disconnected') return { kind: 'disconnected', ...soFar(progress) }
      if (end.kind === 'unsent') {
        // Where a provider key can't be paid for or is at its limits, the next one may have its own.
        const next = end.passedOver ? plan.advance(leftOut) : null
        if (next !== null && next.delayMs === 0) {
          progress.candidate = next.candidate
          continue
        }
        return end.refusal === null
          ? { kind: 'disconnected', ...soFar(progress) }
          : { kind: 'failed', refusal: end.refusal, ...soFar(progress) }
      }
      const failure = failureOf(end, ports.clock.now())
      const next = failure === null || !repeatable(ask) ? null : plan.advance(failure)
      if (end.kind !== 'damaged') logFailure(ports.log, sending, progress, end)
      if (next === null) return { kind: 'failed', refusal: refusalOf(end), ...soFar(progress) }
      if (next.delayMs > 0) {
        sending.ownTime.rest()
        await pause(Math.min(next.delayMs, deadline - ports.clock.monotonic()), outgoing)
        sending.ownTime.go()
      }
      if (outgoing.destroyed) return { kind: 'disconnected', ...soFar(progress) }
      progress.candidate = next.candidate
    }
  } catch (error) {
    ports.log.error('request.failed', { requestId: sending.requestId, ...errorFields(error) })
    return { kind: 'failed', refusal: refuse('internal_error'), ...soFar(progress) }
  }
}

/** Which attempt is under way. */
interface Progress {
  count: number
  candidate: Candidate
  /** Whether something of an attempt so far may have reached a provider. */
  reached: boolean
}

function soFar({ count, candidate, reached }: Progress) {
  return { attempts: count, candidate, reached }
}

type AttemptResult =
  | AttemptEnd
  /** Nothing went out; `refusal` null: the client has left before. `passedOver`: its budgets or limits refused it. */
  | { readonly kind: 'unsent'; readonly refusal: Refusal | null; readonly passedOver: boolean }
  /** The sealed provider key does not open; another one may. */
  | { readonly kind: 'damaged' }

/** As if the provider had rejected the key: it is left out from then on. */
const leftOut: Failure = { kind: 'status', status: 401, retryAfterMs: null }

function hasReached(end: AttemptResult): boolean {
  switch (end.kind) {
    case 'answered':
    case 'discarded':
      return true
    case 'failed':
    case 'disconnected':
      return end.sent
    case 'unsent':
    case 'damaged':
      return false
    default:
      return end satisfies never
  }
}

/** Waits between rounds of attempts, no longer than there is a client to wait for. */
function pause(milliseconds: number, outgoing: ServerResponse): Promise<void> {
  if (milliseconds <= 0 || outgoing.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer)
      outgoing.off('close', finish)
      resolve()
    }
    const timer = setTimeout(finish, milliseconds)
    outgoing.once('close', finish)
  })
}

const clientLeft: AttemptResult = Object.freeze({ kind: 'unsent', refusal: null, passedOver: false })

/** One attempt: takes its provider key's limits, and gives back what it has not used of them. */
function attempt(
  ports: SendPorts,
  sending: Sending,
  candidate: Candidate,
  plan: RetryPlan,
  deadline: number,
): AttemptResult | Promise<AttemptResult> {
  if (sending.outgoing.destroyed) return clientLeft
  const taking = sending.limits.take(candidate)
  return taking === unlimitedAttempt
    ? paidAttempt(ports, sending, candidate, plan, deadline)
    : limitedAttempt(ports, sending, candidate, plan, deadline, taking)
}

async function limitedAttempt(
  ports: SendPorts,
  sending: Sending,
  candidate: Candidate,
  plan: RetryPlan,
  deadline: number,
  taking: ReturnType<AttemptLimits['take']>,
): Promise<AttemptResult> {
  const taken = await taking
  if (taken.kind === 'refused') return { kind: 'unsent', refusal: taken, passedOver: true }
  let end: AttemptEnd | null = null
  try {
    const result = await paidAttempt(ports, sending, candidate, plan, deadline)
    end = result.kind === 'unsent' || result.kind === 'damaged' ? null : result
    return result
  } finally {
    taken.end(end)
  }
}

/** Holds what an attempt may cost, sends, and settles what it did cost. */
async function paidAttempt(
  ports: SendPorts,
  sending: Sending,
  candidate: Candidate,
  plan: RetryPlan,
  deadline: number,
): Promise<AttemptResult> {
  const { ask, outgoing, spending } = sending
  if (outgoing.destroyed) return clientLeft
  const leaving = () => leavingSignal(outgoing)
  const funding =
    ask.body instanceof Upload && ask.body.readsForm
      ? new FormFunding(spending, candidate, ask.body, leaving)
      : spending.fund(candidate, leaving)
  const funded = funding instanceof Promise ? await funding : funding
  if (funded?.kind !== 'funded') return { kind: 'unsent', refusal: funded, passedOver: funded !== null }
  if (outgoing.destroyed) {
    funded.end(null)
    return clientLeft
  }
  let end: AttemptEnd | null = null
  try {
    const opened = ports.vault.openProviderKey(candidate.providerKey)
    // The vault has said in the log which one is damaged.
    if (opened.kind === 'damaged') return opened
    if (opened.kind === 'sealed')
      return { kind: 'unsent', refusal: refuse('vault_sealed'), passedOver: false }
    end = await dispatch(ports, sending, candidate, opened.secret, funded, plan, deadline)
    return end
  } finally {
    funded.end(end)
  }
}

function dispatch(
  ports: SendPorts,
  sending: Sending,
  candidate: Candidate,
  secret: Secret,
  { cap, headers }: Funding,
  plan: RetryPlan,
  deadline: number,
): Promise<AttemptEnd> {
  const { grant, ask, outgoing, ownHeaders, ownTime, trace } = sending
  const { provider, providerKey } = candidate
  const body =
    cap !== null && Buffer.isBuffer(ask.body) ? withNumberField(ask.body, cap.field, cap.tokens) : ask.body
  const upstream = ports.upstreams.at(providerKey.baseUrl)
  const traced = trace?.attempt(candidate) ?? null
  const { flat, via } = forwardedHeaders(sending.rawHeaders, provider, traced !== null)
  const length = body instanceof Upload ? outgoing.req.headers['content-length'] : undefined
  return new Promise((resolve) => {
    const relay = new Relay(
      {
        outgoing,
        provider,
        endpoint: grant.endpoint,
        path: grant.target.endpoint,
        hideUsage: ask.hideUsage,
        visibleModels: grant.principal.policy.models,
        ownHeaders: headers.length === 0 ? ownHeaders : [...ownHeaders, ...headers],
        clock: ports.clock,
        discards: (status, retryAfter) =>
          RetryPlan.retryable(status) &&
          repeatable(ask) &&
          plan.peek({ kind: 'status', status, retryAfterMs: retryAfterMs(retryAfter, ports.clock.now()) }) !==
            null,
        brokenStream,
        tap: sending.tap,
        idleTimeoutMs: ports.read.idleTimeoutMs,
      },
      (end) => {
        clearTimeout(total)
        ownTime.go()
        traced?.end(end)
        resolve(end)
      },
    )
    const total = setTimeout(() => relay.abort(totalTimeout), Math.max(0, deadline - ports.clock.monotonic()))
    ownTime.rest()
    upstream.pool.dispatch(
      {
        path: originForm(upstream.basePath + grant.target.upstreamPath),
        // Any token is a method to node:http and to undici; the type only lists the usual ones.
        method: sending.method as Dispatcher.HttpMethod,
        headers: [
          ...flat,
          'accept-encoding',
          'identity',
          'via',
          appendVia(via, ports.viaName),
          ...(length === undefined ? [] : ['content-length', length]),
          ...(traced === null ? [] : traced.headers),
          ...provider.credentialHeader(secret),
        ],
        body: body as Buffer | null,
      },
      relay,
    )
  })
}

/** Aborts when the client leaves: whoever waits for money then takes none. */
function leavingSignal(outgoing: ServerResponse): AbortSignal {
  const leaving = new AbortController()
  outgoing.once('close', () => leaving.abort())
  return leaving.signal
}

/** A base URL without a path, and a request to it as it is, leave nothing before the query. */
function originForm(path: string): string {
  return path.startsWith('/') ? path : `/${path}`
}

/** A body that has begun to stream can't be sent twice. */
function repeatable(ask: Ask): boolean {
  return !(ask.body instanceof Upload && ask.body.started)
}

type Unanswered = Exclude<AttemptResult, { readonly kind: 'answered' | 'disconnected' | 'unsent' }>

function failureOf(end: Unanswered, now: number): Failure | null {
  if (end.kind === 'damaged') return leftOut
  if (end.kind === 'discarded')
    return { kind: 'status', status: end.status, retryAfterMs: retryAfterMs(end.retryAfter, now) }
  return end.status !== null || timedOut(end.error) || isOurs(end.error) ? null : { kind: 'connection' }
}

/** Whether the attempt was broken off on our side, so that another one would fare no better. */
function isOurs(error: Error): boolean {
  return error instanceof UploadRefused || error instanceof CutByGateway
}

function timedOut(error: Error): boolean {
  const code = 'code' in error ? error.code : null
  return error === totalTimeout || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT'
}

function refusalOf(end: Unanswered): Refusal {
  if (end.kind === 'damaged') return refuse('internal_error')
  if (end.kind !== 'failed') return refuse('upstream_unreachable')
  if (end.error instanceof UploadRefused) return end.error.refusal
  if (end.error instanceof CutByGateway) return refuse(end.error.code)
  const connectTimeout = 'code' in end.error && end.error.code === 'UND_ERR_CONNECT_TIMEOUT'
  return refuse(timedOut(end.error) || connectTimeout ? 'upstream_timeout' : 'upstream_unreachable')
}

function brokenStream(error: Error): WireError {
  return wireError(brokenBy(error))
}

/** What broke a stream off: the provider, or our own patience with it. */
function brokenBy(error: Error): Refusal {
  if (error instanceof CutByGateway) return refuse(error.code)
  return timedOut(error)
    ? refuse('upstream_timeout', { message: 'The answer took longer than it may.' })
    : refuse('upstream_unreachable', { message: 'The provider broke off in the middle of its answer.' })
}

function logFailure(
  log: Log,
  { requestId }: Sending,
  { count, candidate }: Progress,
  end: Exclude<Unanswered, { readonly kind: 'damaged' }>,
): void {
  const outcome = end.kind === 'discarded' ? { status: end.status } : errorFields(end.error)
  log.warn('upstream.attempt_failed', {
    requestId,
    providerKeyId: candidate.providerKey.id,
    attempt: count,
    ...outcome,
  })
}
