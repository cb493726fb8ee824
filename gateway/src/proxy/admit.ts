import type { Principal } from '@latchkey/vault'
import { rateLimitHeaders, refusalHeaders } from '../limits/headers.ts'
import type { LimitAsk, LimitDecision, LimitGrant, LimitState, RateLimiter } from '../limits/rate-limiter.ts'
import { refusalMessage } from '../limits/refusal-message.ts'
import type { Recorder } from '../records/recorder.ts'
import type { RequestRecord } from '../records/request-record.ts'
import { type Refusal, refuse } from './refusal.ts'

export interface AdmitPorts {
  readonly recorder: Recorder
  readonly limiter: RateLimiter
}

/**
 * The right to be sent, which ends in exactly one record. Until then it holds a place in the record queue and what
 * it has taken of the key's rate limits.
 */
export interface Admission {
  readonly kind: 'admitted'
  /** The headers that tell the client of its limits. */
  readonly headers: readonly string[]
  /** The request was sent and used `tokens`; null: nobody knows, so what was taken stands. What comes after the first end is ignored. */
  record(record: RequestRecord, tokens: number | null): void
  /** The request was tried, and nothing of it reached a provider: its limits go back. */
  recordUnsent(record: RequestRecord): void
  /** The request was not sent after all: gives everything back. */
  refuse(record: RequestRecord): void
}

/**
 * Admits a request that may use `tokens` tokens, or refuses it having taken nothing. At once, unless somebody else
 * has to be asked about its limits.
 */
export function admit(
  ports: AdmitPorts,
  principal: Principal,
  tokens: number,
): Admission | Refusal | Promise<Admission | Refusal> {
  const { recorder, limiter } = ports
  if (!recorder.reserve())
    return refuse('overloaded', { message: 'Requests can’t be recorded fast enough. Try again shortly.' })
  const asks = asksOf(principal)
  if (asks.length === 0) return new Admitted(recorder, null, tokens, [])
  try {
    const decision = limiter.take(asks, tokens)
    if (!(decision instanceof Promise)) return decide(recorder, decision, tokens)
    return decision.then(
      (late) => decide(recorder, late, tokens),
      (error: unknown) => {
        recorder.release()
        throw error
      },
    )
  } catch (error) {
    recorder.release()
    throw error
  }
}

function decide(recorder: Recorder, decision: LimitDecision, tokens: number): Admission | Refusal {
  if (decision.kind === 'taken') return new Admitted(recorder, decision.grant, tokens, decision.state)
  recorder.release()
  return refuse('rate_limit_exceeded', {
    message: refusalMessage(decision),
    headers: refusalHeaders(decision),
  })
}

class Admitted implements Admission {
  readonly kind = 'admitted'
  readonly headers: readonly string[]
  readonly #recorder: Recorder
  readonly #limits: LimitGrant | null
  readonly #tokens: number
  #ended = false

  constructor(recorder: Recorder, limits: LimitGrant | null, tokens: number, state: readonly LimitState[]) {
    this.#recorder = recorder
    this.#limits = limits
    this.#tokens = tokens
    this.headers = rateLimitHeaders(state)
  }

  record(record: RequestRecord, tokens: number | null): void {
    if (this.#ended) return
    this.#ended = true
    this.#recorder.record(record)
    this.#limits?.settle(tokens ?? this.#tokens)
  }

  recordUnsent(record: RequestRecord): void {
    if (this.#ended) return
    this.#ended = true
    this.#recorder.record(record)
    this.#limits?.giveBack()
  }

  refuse(record: RequestRecord): void {
    if (this.#ended) return
    this.#ended = true
    this.#limits?.giveBack()
    this.#recorder.release()
    this.#recorder.recordRefusal(record)
  }
}

// A principal is frozen and lives as long as its snapshot: what it asks for is put together once.
const asks = new WeakMap<Principal, readonly LimitAsk[]>()

function asksOf(principal: Principal): readonly LimitAsk[] {
  let known = asks.get(principal)
  if (known === undefined) {
    const { organizationId, keyId, policy, group } = principal
    const all: LimitAsk[] = [{ scope: { organizationId, kind: 'key', id: keyId }, limits: policy.limits }]
    if (group !== null)
      all.push({ scope: { organizationId, kind: 'group', id: group.id }, limits: group.limits })
    known = all.filter(({ limits }) => limits.length > 0)
    asks.set(principal, known)
  }
  return known
}
