import type { ServerResponse } from 'node:http'
import { type Clock, errorFields, type Log, type RandomBytes } from '@latchkey/shared'
import type { BoundProviderKey, OpenedProviderKey } from '@latchkey/vault'
import type { Dispatcher } from 'undici'
import type { Upstreams } from '../upstream/upstreams.ts'
import { appendVia } from '../upstream/via.ts'
import type { Candidate, Grant } from './authorize.ts'
import { wireError } from './fault-body.ts'
import { CutByShutdown } from './in-flight.ts'
import type { Ask, ReadLimits } from './read.ts'
import { type Refusal, refuse } from './refusal.ts'
import { type Answer, type AttemptEnd, Relay } from './relay.ts'
import { forwardedHeaders } from './request-headers.ts'
import { type Failure, RetryPlan, retryAfterMs } from './retry.ts'
import { Upload, UploadRefused } from './upload.ts'

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
  readonly ask: Ask
  readonly method: string
  readonly rawHeaders: readonly string[]
  readonly outgoing: ServerResponse
  readonly ownHeaders: readonly string[]
}

/** How a request ended at the provider. After `answered` the client has its answer; `failed` still needs one. */
export type Sent = { readonly attempts: number; readonly candidate: Candidate } & (
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
  const progress: Progress = { count: 0, candidate: sending.grant.candidates[0] }
  try {
    return await attempts(ports, sending, progress)
  } catch (error) {
    ports.log.error('request.failed', { requestId: sending.requestId, ...errorFields(error) })
    const { count, candidate } = progress
    return { kind: 'failed', refusal: refuse('internal_error'), attempts: count, candidate }
  }
}

/** Which attempt is under way. */
interface Progress {
  count: number
  candidate: Candidate
}

async function attempts(ports: SendPorts, sending: Sending, progress: Progress): Promise<Sent> {
  const { grant, ask } = sending
  const plan = new RetryPlan(grant.candidates, grant.principal.policy.retries, ports.random)
  const deadline = ports.clock.monotonic() + ports.totalTimeoutMs
  for (;;) {
    progress.count++
    const end = await attempt(ports, sending, progress.candidate, plan, deadline)
    const so = { attempts: progress.count, candidate: progress.candidate }
    if (end.kind === 'answered' || end.kind === 'disconnected') return { ...end, ...so }
    if (end.kind === 'refused') return { kind: 'failed', refusal: end.refusal, ...so }
    const failure = failureOf(end, ports.clock.now())
    const next = failure === null || !repeatable(ask) ? null : plan.advance(failure)
    if (end.kind !== 'damaged') logFailure(ports.log, sending, progress, end)
    if (next === null) return { kind: 'failed', refusal: refusalOf(end), ...so }
    if (next.delayMs > 0) {
      await pause(Math.min(next.delayMs, deadline - ports.clock.monotonic()), sending.outgoing)
    }
    if (sending.outgoing.destroyed) return { kind: 'disconnected', ...so }
    progress.candidate = next.candidate
  }
}

type AttemptResult =
  | AttemptEnd
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** The sealed provider key does not open; another one may. */
  | { readonly kind: 'damaged' }

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

function attempt(
  ports: SendPorts,
  sending: Sending,
  candidate: Candidate,
  plan: RetryPlan,
  deadline: number,
): Promise<AttemptResult> {
  const { grant, ask, outgoing } = sending
  const { provider, providerKey } = candidate
  if (outgoing.destroyed) return Promise.resolve({ kind: 'disconnected' })
  const opened = ports.vault.openProviderKey(providerKey)
  if (opened.kind === 'sealed') return Promise.resolve({ kind: 'refused', refusal: refuse('vault_sealed') })
  // The vault has said so in the log.
  if (opened.kind === 'damaged') return Promise.resolve({ kind: 'damaged' })
  const upstream = ports.upstreams.at(providerKey.baseUrl)
  const { flat, via } = forwardedHeaders(sending.rawHeaders, provider)
  const length = ask.body instanceof Upload ? outgoing.req.headers['content-length'] : undefined
  return new Promise((resolve) => {
    const relay = new Relay(
      {
        outgoing,
        provider,
        endpoint: grant.endpoint,
        path: grant.target.endpoint,
        hideUsage: ask.hideUsage,
        visibleModels: grant.principal.policy.models,
        ownHeaders: sending.ownHeaders,
        monotonic: () => ports.clock.monotonic(),
        discards: (status, retryAfter) =>
          RetryPlan.retryable(status) &&
          repeatable(ask) &&
          plan.peek({ kind: 'status', status, retryAfterMs: retryAfterMs(retryAfter, ports.clock.now()) }) !==
            null,
        brokenStream: (error) => wireError(brokenBy(error)),
        idleTimeoutMs: ports.read.idleTimeoutMs,
      },
      (end) => {
        clearTimeout(total)
        resolve(end)
      },
    )
    const total = setTimeout(() => relay.abort(totalTimeout), Math.max(0, deadline - ports.clock.monotonic()))
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
          ...provider.credentialHeader(opened.secret),
        ],
        body: ask.body as Buffer | null,
      },
      relay,
    )
  })
}

/** A base URL without a path, and a request to it as it is, leave nothing before the query. */
function originForm(path: string): string {
  return path.startsWith('/') ? path : `/${path}`
}

/** A body that has begun to stream can't be sent twice. */
function repeatable(ask: Ask): boolean {
  return !(ask.body instanceof Upload && ask.body.started)
}

type Unanswered = Exclude<AttemptResult, { readonly kind: 'answered' | 'disconnected' | 'refused' }>

function failureOf(end: Unanswered, now: number): Failure | null {
  // As if the provider had rejected the key: it is left out from then on.
  if (end.kind === 'damaged') return { kind: 'status', status: 401, retryAfterMs: null }
  if (end.kind === 'discarded')
    return { kind: 'status', status: end.status, retryAfterMs: retryAfterMs(end.retryAfter, now) }
  return end.began || timedOut(end.error) || isOurs(end.error) ? null : { kind: 'connection' }
}

/** Whether the attempt was broken off on our side, so that another one would fare no better. */
function isOurs(error: Error): boolean {
  return error instanceof UploadRefused || error instanceof CutByShutdown
}

function timedOut(error: Error): boolean {
  const code = 'code' in error ? error.code : null
  return error === totalTimeout || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT'
}

function refusalOf(end: Unanswered): Refusal {
  if (end.kind === 'damaged') return refuse('internal_error')
  if (end.kind !== 'failed') return refuse('upstream_unreachable')
  if (end.error instanceof UploadRefused) return end.error.refusal
  if (end.error instanceof CutByShutdown) return refuse('draining')
  const connectTimeout = 'code' in end.error && end.error.code === 'UND_ERR_CONNECT_TIMEOUT'
  return refuse(timedOut(end.error) || connectTimeout ? 'upstream_timeout' : 'upstream_unreachable')
}

/** What broke a stream off: the provider, or our own patience with it. */
function brokenBy(error: Error): Refusal {
  if (error instanceof CutByShutdown) return refuse('draining')
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
