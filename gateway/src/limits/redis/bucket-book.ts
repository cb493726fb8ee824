import type { Correction } from './call.ts'

/** Taken of a bucket in advance, and not used yet. */
interface Chunk {
  readonly taken: number
  left: number
  /** The limit when it was taken. */
  readonly limit: number
  /** Redis' span in which it was taken. */
  readonly span: number
  /** By the monotonic clock. From then on it is Redis' again, whether it was given back or not. */
  readonly lapsesAt: number
}

/** What a bucket was when Redis spoke of it last. */
interface Sight {
  readonly limit: number
  readonly remaining: number
  readonly fullAfterMs: number
  readonly at: number
}

/** What this process has of one bucket in Redis, and what it owes it. Times are of the monotonic clock. */
export class BucketBook {
  readonly key: string
  readonly periodMs: number
  /** A call that may bring a chunk is on its way: others must not bring a second one. */
  asking = false
  #chunk: Chunk | null = null
  #corrections: Correction[] = []
  #sight: Sight = { limit: 1, remaining: 0, fullAfterMs: 0, at: 0 }

  constructor(key: string, periodMs: number) {
    this.key = key
    this.periodMs = periodMs
  }

  /** Whether Redis has to hear of it, now or when its chunk has lapsed. */
  get isOpen(): boolean {
    return this.#chunk !== null || this.#corrections.length > 0
  }

  /** Whether something is left of what was taken in advance. */
  get hasChunk(): boolean {
    return this.#chunk !== null && this.#chunk.left > 0
  }

  /** Whether `cost` can be had from what was taken in advance. */
  has(cost: number, limit: number, now: number): boolean {
    const chunk = this.#chunk
    return chunk !== null && chunk.left >= cost && chunk.limit === limit && now < chunk.lapsesAt
  }

  /** Takes `cost` of the chunk that `has` it. */
  use(cost: number): void {
    if (this.#chunk !== null) this.#chunk.left -= cost
  }

  keep(taken: number, limit: number, span: number, lapsesAt: number): void {
    this.#chunk = { taken, left: taken, limit, span, lapsesAt }
  }

  see(limit: number, remaining: number, fullAfterMs: number, at: number): void {
    this.#sight = { limit, remaining, fullAfterMs, at }
  }

  /** What is left and when all of it is there again, as far as it can be told without asking. */
  state(now: number): { readonly remaining: number; readonly fullAfterMs: number } {
    const { limit, remaining, fullAfterMs, at } = this.#sight
    const refilled = Math.floor(((now - at) * limit) / this.periodMs)
    return {
      remaining: Math.min(limit, remaining + refilled + (this.#chunk?.left ?? 0)),
      fullAfterMs: Math.max(0, fullAfterMs - Math.floor(now - at)),
    }
  }

  /** `amount` comes back of what was taken when the limit was `limitThen`; below 0: is taken on top. */
  correct(amount: number, limitThen: number): void {
    const { key, periodMs } = this
    const last = this.#corrections.at(-1)
    // What comes back may be lost on a full bucket, what is taken never: the two don't add up.
    if (last !== undefined && last.limitThen === limitThen && last.amount > 0 === amount > 0)
      this.#corrections[this.#corrections.length - 1] = { ...last, amount: last.amount + amount }
    else this.#corrections.push({ key, periodMs, amount, limitThen, chunk: 0, span: 0 })
  }

  /** What Redis has to hear now. Gives its chunk back if it has lapsed, or if `all` is to go. */
  collect(now: number, all: boolean): readonly Correction[] {
    const { key, periodMs } = this
    const collected = this.#corrections
    this.#corrections = []
    const chunk = this.#chunk
    if (chunk !== null && (all || now >= chunk.lapsesAt)) {
      this.#chunk = null
      if (chunk.taken > 0) {
        const { taken, left, limit, span } = chunk
        collected.push({ key, periodMs, amount: left, limitThen: limit, chunk: taken, span })
      }
    }
    return collected
  }

  /** Forgets what it has and owes: Redis is away, and may have forgotten it too. */
  drop(): void {
    this.#chunk = null
    this.#corrections = []
    this.asking = false
  }
}
