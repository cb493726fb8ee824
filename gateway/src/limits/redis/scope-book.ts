import { type Limit, type RefillingLimit, refillMs } from '../limit.ts'
import type { LimitScope } from '../rate-limiter.ts'
import { BucketBook } from './bucket-book.ts'
import type { Correction, SlotChanges } from './call.ts'
import { Demand } from './demand.ts'

/** One limit of a scope with what this process has of it; null: slots. */
export interface BookedLimit {
  readonly stored: Limit
  readonly bucket: BucketBook | null
}

/** What this process has of one scope in Redis: requests in flight, chunks of its buckets, and what it owes it. */
export class ScopeBook {
  readonly organizationId: string
  readonly slotsKey: string
  readonly demand = new Demand()
  readonly #keyPrefix: string
  readonly #buckets = new Map<string, BucketBook>()
  /** Requests in flight, and whether each has a slot in Redis. Without a limit on slots none has. */
  readonly #inFlight = new Map<string, boolean>()
  #slots = 0
  #released: string[] = []
  #limits: readonly Limit[] = []
  #booked: readonly BookedLimit[] = []

  /** The organization is the hash tag of its keys, so that all of a request's are on one node of a cluster. */
  constructor(namespace: string, { organizationId, kind, id }: LimitScope) {
    this.organizationId = organizationId
    this.#keyPrefix = `${namespace}:{${organizationId}}:${kind}:${id}:`
    this.slotsKey = `${this.#keyPrefix}slots`
  }

  get hasSlots(): boolean {
    return this.#slots > 0
  }

  /** Whether Redis has to hear of it, now or when a chunk has lapsed. */
  get isOpen(): boolean {
    if (this.#released.length > 0) return true
    for (const bucket of this.#buckets.values()) if (bucket.isOpen) return true
    return false
  }

  /** Whether forgetting it changes nothing. */
  isIdle(now: number): boolean {
    return this.#inFlight.size === 0 && !this.isOpen && this.demand.perSecond(now) === 0
  }

  book(limits: readonly Limit[]): readonly BookedLimit[] {
    if (limits !== this.#limits) {
      this.#limits = limits
      this.#booked = limits.map((stored) => ({
        stored,
        bucket: stored.unit === 'concurrency' ? null : this.#bucketOf(stored),
      }))
    }
    return this.#booked
  }

  /** A request is in flight from here on. */
  begin(id: string, hasSlot: boolean): void {
    this.#inFlight.set(id, hasSlot)
    if (hasSlot) this.#slots += 1
  }

  /** It is in flight no more. True where that frees a slot in Redis. */
  end(id: string): boolean {
    const hadSlot = this.#inFlight.get(id) ?? false
    this.#inFlight.delete(id)
    if (!hadSlot) return false
    this.release(id)
    this.#slots -= 1
    return true
  }

  /** Redis shall free a slot that it may have given. */
  release(id: string): void {
    this.#released.push(id)
  }

  /** What its buckets owe. All of its chunks are given back, or those that have lapsed. */
  collectCorrections(now: number, chunks: 'all' | 'lapsed', into: Correction[]): void {
    for (const bucket of this.#buckets.values())
      if (bucket.isOpen) into.push(...bucket.collect(now, chunks === 'all'))
  }

  /** What its slots owe. Those in flight without a slot get one where a limit on slots has come up since. */
  collectSlots(limited: boolean, into: SlotChanges[]): void {
    const held: string[] = []
    if (limited && this.#slots < this.#inFlight.size) {
      for (const [id, hasSlot] of this.#inFlight) {
        if (hasSlot) continue
        held.push(id)
        this.#inFlight.set(id, true)
      }
      this.#slots = this.#inFlight.size
    }
    const released = this.#released
    if (released.length + held.length === 0) return
    this.#released = []
    into.push({ key: this.slotsKey, released, held })
  }

  /** The ids of the requests that have a slot in Redis. */
  slots(): readonly string[] {
    const ids: string[] = []
    for (const [id, hasSlot] of this.#inFlight) if (hasSlot) ids.push(id)
    return ids
  }

  /** Forgets what it has and owes, but not what is in flight. */
  drop(): void {
    this.#released = []
    for (const bucket of this.#buckets.values()) bucket.drop()
  }

  #bucketOf(limit: RefillingLimit): BucketBook {
    const name = `${limit.unit}:${limit.per}`
    let bucket = this.#buckets.get(name)
    if (bucket === undefined) {
      bucket = new BucketBook(this.#keyPrefix + name, refillMs(limit))
      this.#buckets.set(name, bucket)
    }
    return bucket
  }
}
