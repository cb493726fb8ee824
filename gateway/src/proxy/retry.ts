import type { RandomBytes } from '@latchkey/shared'
import type { Candidate } from './authorize.ts'

/** What made an attempt fail before its first byte. */
export type Failure =
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterMs: number | null }
  | { readonly kind: 'connection' }

/** The next attempt: with which provider key, after how many milliseconds. */
export interface NextAttempt {
  readonly candidate: Candidate
  readonly delayMs: number
}

const longestRetryAfterMs = 10_000
const firstDelayMs = 250
const longestDelayMs = 4_000

/**
 * The order of attempts: all provider keys in turn make a round, `retries` more rounds follow, each
 * after a growing, jittered pause. A key that the provider rejects (401) is left out from then on.
 */
export class RetryPlan {
  readonly #random: RandomBytes
  readonly #retries: number
  #left: readonly Candidate[]
  #at = 0
  #round = 0

  constructor(candidates: readonly Candidate[], retries: number, random: RandomBytes) {
    this.#left = candidates
    this.#retries = retries
    this.#random = random
  }

  /** Whether a status is one that another attempt may mend. */
  static retryable(status: number): boolean {
    return status === 401 || status === 429 || status >= 500
  }

  /** The attempt that follows the one that failed, or null. Tells without moving on. */
  peek(failure: Failure): NextAttempt | null {
    return this.#next(failure)?.attempt ?? null
  }

  /** Moves on to the attempt that `peek` tells. */
  advance(failure: Failure): NextAttempt | null {
    const next = this.#next(failure)
    if (next === null) return null
    this.#left = next.left
    this.#at = next.at
    this.#round = next.round
    return next.attempt
  }

  #next(failure: Failure) {
    const rejected = failure.kind === 'status' && failure.status === 401
    if (failure.kind === 'status' && !RetryPlan.retryable(failure.status)) return null
    const left = rejected ? this.#left.filter((_, index) => index !== this.#at) : this.#left
    const following = rejected ? this.#at : this.#at + 1
    const newRound = following >= left.length
    const round = newRound ? this.#round + 1 : this.#round
    const at = newRound ? 0 : following
    const candidate = left[at]
    if (candidate === undefined || round > this.#retries) return null
    const delayMs = newRound ? this.#pause(round, failure) : 0
    return delayMs === null ? null : { attempt: { candidate, delayMs }, left, at, round }
  }

  /** Null where the provider asks for more patience than a client has. */
  #pause(round: number, failure: Failure): number | null {
    const asked = failure.kind === 'status' ? failure.retryAfterMs : null
    if (asked !== null) return asked > longestRetryAfterMs ? null : asked
    const most = Math.min(longestDelayMs, firstDelayMs * 2 ** (round - 1))
    return Math.round(most / 2 + (most / 2) * ((this.#random(1)[0] ?? 0) / 255))
  }
}

/** Milliseconds that a `Retry-After` of seconds or of a date asks for (RFC 9110, section 10.2.3); null for none. */
export function retryAfterMs(value: string | null, now: number): number | null {
  if (value === null) return null
  if (/^[0-9]{1,9}$/.test(value.trim())) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}
