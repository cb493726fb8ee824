import type { NanoUsd } from '@latchkey/shared'
import type { Principal } from '@latchkey/vault'
import { costOf, type LimitCost } from '../limits/cost.ts'
import { rateLimitHeaders } from '../limits/headers.ts'
import type {
  LimitAsk,
  LimitDecision,
  LimitRefusal,
  LimitTaken,
  RateLimiter,
} from '../limits/rate-limiter.ts'
import type { Segment, Segments } from '../limits/segments.ts'
import { unlimited } from '../limits/unlimited.ts'
import type { Recorder } from '../records/recorder.ts'
import type { RequestRecord } from '../records/request-record.ts'
import { AttemptLimits } from './attempt-limits.ts'
import type { Candidate } from './authorize.ts'
import { policyAsk } from './limit-asks.ts'
import type { LimitPolicy } from './limit-policy.ts'
import { refuseByLimit } from './limit-refusal.ts'
import { type Refusal, refuse } from './refusal.ts'
import { mostTaken, type Spending } from './spending.ts'

/** What nobody can price before it has gone out. */
const moneyOfUpload =
  'counts cents, and what an upload costs is known at its end only. Count requests or tokens, or give the key a budget'

export interface AdmitPorts {
  readonly recorder: Recorder
  readonly limiter: RateLimiter
  readonly segments: Segments
}

/** What asks to be sent: whose request, by whom it can be carried, what it can cost. */
export interface Admittee {
  readonly principal: Principal
  readonly candidates: readonly [Candidate, ...Candidate[]]
  readonly spending: Spending
  /** Whether its body streams through, so that what it asks for is known at its end. */
  readonly uploads: boolean
  /** The limit that the request names for itself. */
  readonly policy: LimitPolicy | null
}

/**
 * The right to be sent, which ends in exactly one record. Until then it holds a place in the record queue and what
 * it has taken of rate limits.
 */
export interface Admission {
  readonly kind: 'admitted'
  /** Those that may carry it, in the order in which they are tried: without the first ones that are at their limits. */
  readonly candidates: readonly [Candidate, ...Candidate[]]
  /** The limits of its provider keys. */
  readonly attempts: AttemptLimits
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
 * Admits a request, or refuses it having taken nothing: a place in the record queue, and then its key's limits, its
 * group's, its own and those of the first provider key, all or none. Where it is the provider key that refuses, the
 * next one is asked for. At once, unless somebody else has to be asked about limits.
 */
export function admit(
  ports: AdmitPorts,
  admittee: Admittee,
): Admission | Refusal | Promise<Admission | Refusal> {
  const { recorder } = ports
  if (!recorder.reserve())
    return refuse('overloaded', { message: 'Requests can’t be recorded fast enough. Try again shortly.' })
  try {
    const asking = new Asking(ports, admittee)
    const decision = asking.take()
    if (!(decision instanceof Promise)) {
      const admitted = asking.decide(decision)
      if (admitted !== null) return admitted
    }
    return asking.goOn(decision).catch((error: unknown) => {
      recorder.release()
      throw error
    })
  } catch (error) {
    recorder.release()
    throw error
  }
}

/** One request on its way through the provider keys that may carry it. */
class Asking {
  readonly #ports: AdmitPorts
  readonly #admittee: Admittee
  readonly #segment: Segment | null
  readonly #own: LimitAsk | null
  #cost: LimitCost = { tokens: 0, nanoUsd: 0 }
  #candidates: readonly [Candidate, ...Candidate[]]
  /** The refusal by a provider key that ends soonest. */
  #soonest: LimitRefusal | null = null

  constructor(ports: AdmitPorts, admittee: Admittee) {
    const { principal, candidates, policy } = admittee
    this.#ports = ports
    this.#admittee = admittee
    this.#candidates = candidates
    this.#segment =
      policy === null ? null : ports.segments.place(principal.keyId, policy.segment, policy.limit)
    this.#own = this.#segment === null ? null : policyAsk(principal, this.#segment)
  }

  take(): LimitDecision | Refusal | Promise<LimitDecision> {
    const { spending } = this.#admittee
    const [candidate] = this.#candidates
    const asks = candidate.asks.together
    const tokens = spending.tokens(candidate)
    if (this.#own === null) return asks.length === 0 ? unlimited : this.#ports.limiter.take(asks, tokens)
    const nanoUsd = this.#money(candidate)
    if (typeof nanoUsd !== 'number') return nanoUsd
    this.#cost = { tokens, nanoUsd }
    return this.#ports.limiter.take([...asks, this.#own], tokens, nanoUsd)
  }

  /** Null: the provider key refused, and another one is to be asked for. */
  decide(decision: LimitDecision | Refusal): Admission | Refusal | null {
    if (decision.kind === 'taken')
      return new Admitted(this.#ports, this.#admittee, this.#candidates, decision, (used) => this.#use(used))
    if ('code' in decision) return this.#refuse(decision)
    if (decision.scope.kind !== 'provider_key') return this.#refuse(refuseByLimit(decision))
    if (this.#soonest === null || decision.retryAfterMs < this.#soonest.retryAfterMs) this.#soonest = decision
    const [, next, ...rest] = this.#candidates
    if (next === undefined) return this.#refuse(refuseByLimit(this.#soonest))
    this.#candidates = [next, ...rest]
    return null
  }

  /** From a decision that is not there yet, or that has passed a provider key over. */
  async goOn(first: LimitDecision | Refusal | Promise<LimitDecision>): Promise<Admission | Refusal> {
    let admitted = first instanceof Promise ? this.decide(await first) : null
    while (admitted === null) admitted = this.decide(await this.take())
    return admitted
  }

  /** The request's own limit has been charged with what was used; null: with what was taken. */
  #use(used: Parameters<Settled>[0]): void {
    if (this.#segment === null) return
    const { tokens, nanoUsd } = this.#cost
    const cost = { tokens: used.tokens ?? tokens, nanoUsd: used.nanoUsd ?? nanoUsd }
    this.#ports.segments.use(this.#segment, costOf(this.#segment.limit.unit, cost))
  }

  /** The most that the request can cost, where a limit of its own counts that. */
  #money(candidate: Candidate): number | Refusal {
    const { policy, spending, uploads } = this.#admittee
    if (policy?.limit.unit !== 'nano-usd') return 0
    if (!uploads) return spending.most(candidate)
    return refuse('unsupported_parameter', {
      param: policy.header,
      message: `The header ${policy.header} ${moneyOfUpload}.`,
    })
  }

  #refuse(refusal: Refusal): Refusal {
    this.#ports.recorder.release()
    return refusal
  }
}

/** Told what a request has used; null: what was taken. */
type Settled = (used: { readonly tokens: number | null; readonly nanoUsd: number | null }) => void

class Admitted implements Admission {
  readonly kind = 'admitted'
  readonly candidates: Admission['candidates']
  readonly attempts: AttemptLimits
  readonly headers: readonly string[]
  readonly #recorder: Recorder
  readonly #limits: LimitTaken['grant']
  readonly #settled: Settled
  #ended = false

  constructor(
    { recorder, limiter }: AdmitPorts,
    { spending }: Admittee,
    candidates: Admission['candidates'],
    { grant, state }: LimitTaken,
    settled: Settled,
  ) {
    const limited = candidates[0].providerKey.limits.length > 0
    this.candidates = candidates
    this.attempts = new AttemptLimits(limiter, spending, limited ? grant.split('provider_key') : null)
    this.headers = rateLimitHeaders(state)
    this.#recorder = recorder
    this.#limits = grant
    this.#settled = settled
  }

  record(record: RequestRecord, tokens: number | null): void {
    if (this.#ended) return
    this.#end()
    this.#recorder.record(record)
    const nanoUsd = asNumber(record.cost)
    this.#limits.settle(tokens, nanoUsd)
    this.#settled({ tokens, nanoUsd })
  }

  recordUnsent(record: RequestRecord): void {
    if (this.#ended) return
    this.#end()
    this.#recorder.record(record)
    this.#limits.giveBack()
  }

  refuse(record: RequestRecord): void {
    if (this.#ended) return
    this.#end()
    this.#limits.giveBack()
    this.#recorder.release()
    this.#recorder.recordRefusal(record)
  }

  #end(): void {
    this.#ended = true
    this.attempts.close()
  }
}

/** Null: nobody knows what it did cost. */
function asNumber(cost: NanoUsd | null): number | null {
  if (cost === null) return null
  return cost < mostTaken ? Number(cost) : Number(mostTaken)
}
