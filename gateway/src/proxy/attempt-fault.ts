import type { Unanswered } from './attempt-end.ts'
import { CutByGateway } from './in-flight.ts'
import { type Refusal, refuse } from './refusal.ts'
import { type Failure, retryAfterMs } from './retry.ts'
import { UploadRefused } from './upload.ts'

/** With this an attempt is broken off that outlasts its request's time. */
export const totalTimeout = new Error('the total timeout has passed')

/** As if the provider had rejected the key: it is left out from then on. */
export const leftOut: Failure = { kind: 'status', status: 401, retryAfterMs: null }

/** What the failure is to the retry policy; null: another attempt would fare no better. `now` is wall-clock milliseconds. */
export function failureOf(end: Unanswered, now: number): Failure | null {
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

/** What the client is told where no other attempt follows. */
export function refusalOf(end: Unanswered): Refusal {
  if (end.kind === 'damaged') return refuse('internal_error')
  if (end.kind !== 'failed') return refuse('upstream_unreachable')
  if (end.error instanceof UploadRefused) return end.error.refusal
  if (end.error instanceof CutByGateway) return refuse(end.error.code)
  const connectTimeout = 'code' in end.error && end.error.code === 'UND_ERR_CONNECT_TIMEOUT'
  return refuse(timedOut(end.error) || connectTimeout ? 'upstream_timeout' : 'upstream_unreachable')
}

/** What the client of a stream is told that broke off: by the provider, or for our own patience with it. */
export function brokenStream(error: Error): Refusal {
  if (error instanceof CutByGateway) return refuse(error.code)
  return timedOut(error)
    ? refuse('upstream_timeout', { message: 'The answer took longer than it may.' })
    : refuse('upstream_unreachable', { message: 'The provider broke off in the middle of its answer.' })
}
