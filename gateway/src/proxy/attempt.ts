import type { ServerResponse } from 'node:http'
import type { Clock, Secret } from '@latchkey/shared'
import type { BoundProviderKey, OpenedProviderKey } from '@latchkey/vault'
import type { Dispatcher } from 'undici'
import type { BodyTap } from '../capture/body-tap.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import { appendVia } from '../upstream/via.ts'
import type { AttemptEnd, AttemptResult } from './attempt-end.ts'
import { brokenStream, totalTimeout } from './attempt-fault.ts'
import { type AttemptLimits, unlimitedAttempt } from './attempt-limits.ts'
import type { Candidate, Grant } from './authorize.ts'
import { wireError } from './fault-body.ts'
import { FormFunding } from './form-funding.ts'
import { withNumberField } from './output-cap.ts'
import type { OwnTime } from './own-time.ts'
import type { Ask } from './read.ts'
import { refuse } from './refusal.ts'
import { Relay } from './relay.ts'
import { forwardedHeaders } from './request-headers.ts'
import { RetryPlan, retryAfterMs } from './retry.ts'
import type { Funding, Spending } from './spending.ts'
import type { RequestTrace } from './tracer.ts'
import { Upload } from './upload.ts'
import type { ReadLimits } from './whole-body.ts'

/** What sending asks of the vault: to open a provider key, in process and without waiting. */
export interface ProviderKeyOpener {
  openProviderKey(key: BoundProviderKey): OpenedProviderKey
}

export interface AttemptPorts {
  readonly vault: ProviderKeyOpener
  readonly upstreams: Upstreams
  readonly clock: Clock
  readonly viaName: string
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

const clientLeft: AttemptResult = Object.freeze({ kind: 'unsent', refusal: null, passedOver: false })

/** One attempt: takes its provider key's limits, and gives back what it has not used of them. */
export function attempt(
  ports: AttemptPorts,
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
  ports: AttemptPorts,
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
  ports: AttemptPorts,
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
  ports: AttemptPorts,
  sending: Sending,
  candidate: Candidate,
  secret: Secret,
  { cap, headers: told }: Funding,
  plan: RetryPlan,
  deadline: number,
): Promise<AttemptEnd> {
  const { grant, ask, outgoing, ownHeaders, ownTime, trace } = sending
  const { provider, providerKey } = candidate
  const body =
    cap !== null && Buffer.isBuffer(ask.body) ? withNumberField(ask.body, cap.field, cap.tokens) : ask.body
  const upstream = ports.upstreams.at(providerKey.baseUrl)
  const traced = trace?.attempt(candidate) ?? null
  const { flat: headers, via } = forwardedHeaders(sending.rawHeaders, provider, traced !== null)
  const length = body instanceof Upload ? outgoing.req.headers['content-length'] : undefined
  headers.push('accept-encoding', 'identity', 'via', appendVia(via, ports.viaName))
  if (length !== undefined) headers.push('content-length', length)
  if (traced !== null) headers.push(...traced.headers)
  headers.push(...provider.credentialHeader(secret))
  return new Promise((resolve) => {
    const relay = new Relay(
      {
        outgoing,
        provider,
        endpoint: grant.endpoint,
        path: grant.target.endpoint,
        hideUsage: ask.hideUsage,
        visibleModels: grant.principal.policy.models,
        ownHeaders: told.length === 0 ? ownHeaders : [...ownHeaders, ...told],
        clock: ports.clock,
        discards: (status, retryAfter) =>
          RetryPlan.retryable(status) &&
          repeatable(ask) &&
          plan.peek({ kind: 'status', status, retryAfterMs: retryAfterMs(retryAfter, ports.clock.now()) }) !==
            null,
        brokenStream: (error) => wireError(brokenStream(error)),
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
        headers,
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
export function repeatable(ask: Ask): boolean {
  return !(ask.body instanceof Upload && ask.body.started)
}
