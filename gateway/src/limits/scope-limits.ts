import { Bucket } from './bucket.ts'
import { type Limit, type RefillingLimit, refillMs } from './limit.ts'

/** One limit of a scope with what counts it; null: the requests in flight do. */
export interface CountedLimit {
  readonly stored: Limit
  readonly bucket: Bucket | null
}

interface KnownBucket {
  readonly unit: RefillingLimit['unit']
  readonly per: RefillingLimit['per']
  readonly bucket: Bucket
}

/**
 * What is known of one scope: what it has in flight and its buckets. A bucket outlives its limit, so that taking a
 * limit away and setting it again doesn't fill it.
 */
export class ScopeLimits {
  /** Requests that have taken and not ended, under whatever limits. */
  inFlight = 0
  readonly #known: KnownBucket[] = []
  #limits: readonly Limit[] = []
  #counted: readonly CountedLimit[] = []

  /** What counts `limits`. Buckets whose limit has changed go on with the share that is used. */
  count(limits: readonly Limit[], now: number): readonly CountedLimit[] {
    if (limits === this.#limits) return this.#counted
    // An array that was read anew mostly has the same limits.
    if (!areSame(limits, this.#limits)) this.#counted = this.#match(limits, now)
    this.#limits = limits
    return this.#counted
  }

  /** Whether forgetting it changes nothing. */
  isIdle(now: number): boolean {
    return this.inFlight === 0 && this.#known.every(({ bucket }) => bucket.isFull(now))
  }

  #match(limits: readonly Limit[], now: number): readonly CountedLimit[] {
    return limits.map((stored) => {
      if (stored.unit === 'concurrency') return { stored, bucket: null }
      const known = this.#known.find(({ unit, per }) => unit === stored.unit && per === stored.per)
      if (known !== undefined) {
        known.bucket.change(stored.limit, now)
        return { stored, bucket: known.bucket }
      }
      const bucket = new Bucket(stored.limit, refillMs(stored), now)
      this.#known.push({ unit: stored.unit, per: stored.per, bucket })
      return { stored, bucket }
    })
  }
}

function areSame(left: readonly Limit[], right: readonly Limit[]): boolean {
  if (left.length !== right.length) return false
  for (const [index, limit] of left.entries()) {
    const other = right[index]
    if (other === undefined || other.limit !== limit.limit || !countSame(limit, other)) return false
  }
  return true
}

function countSame(left: Limit, right: Limit): boolean {
  if (left.unit === 'concurrency' || right.unit === 'concurrency') return left.unit === right.unit
  return left.unit === right.unit && left.per === right.per
}
