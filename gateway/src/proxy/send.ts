import type { ServerResponse } from 'node:http'
import { errorFields, type Log, type RandomBytes } from '@latchkey/shared'
import { type AttemptPorts, attempt, repeatable, type Sending } from './attempt.ts'
import type { Answer, AttemptResult, Unanswered } from './attempt-end.ts'
import { failureOf, leftOut, refusalOf } from './attempt-fault.ts'
import type { Candidate } from './authorize.ts'
import { type Refusal, refuse } from './refusal.ts'
import { RetryPlan } from './retry.ts'

export interface SendPorts extends AttemptPorts {
  readonly random: RandomBytes
  readonly log: Log
  readonly totalTimeoutMs: number
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
