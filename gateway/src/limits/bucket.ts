/**
 * A limit that refills evenly: the generic cell rate algorithm in its form of a leaky bucket (ITU-T I.371,
 * annex A), for costs of any size. It counts what is used, which drains by `limit` a period.
 *
 * All figures are integers below 2^53, so no rounding adds up, however long it runs: what is used stands in whole
 * units less a fraction, and the fraction is counted in parts of which a unit has as many as the period has
 * milliseconds. In each millisecond `limit` such parts drain.
 */
export class Bucket {
  readonly #periodMs: number
  #limit = 0
  /** What drains in a millisecond: whole units, and the rest in parts. */
  #unitsPerMs = 0
  #partsPerMs = 0
  /** May exceed the limit: a debt. */
  #used = 0
  /** Parts that have drained of the last unit in `#used`; 0 where that is 0. */
  #drained = 0
  #at: number

  /**
   * Full, as of `now`. Times are whole milliseconds of one monotonic clock; a period is a day at the most. Throws
   * RangeError for a limit that is no positive integer, here and in `change`.
   */
  constructor(limit: number, periodMs: number, now: number) {
    this.#periodMs = periodMs
    this.#at = now
    this.#setLimit(limit)
  }

  get limit(): number {
    return this.#limit
  }

  /** What is left, in whole units, as of the last look. */
  get remaining(): number {
    return Math.max(0, this.#limit - this.#used)
  }

  /** Milliseconds from the last look until it is full. */
  get fullAfterMs(): number {
    return Math.ceil((this.#used * this.#periodMs - this.#drained) / this.#limit)
  }

  /** Milliseconds until `cost` is admitted; 0: it is now. A cost above the limit waits for a full bucket. */
  wait(cost: number, now: number): number {
    this.#drain(now)
    const missing = this.#used - this.#limit + Math.min(cost, this.#limit)
    return missing <= 0 ? 0 : this.#timeFor(missing)
  }

  isFull(now: number): boolean {
    this.#drain(now)
    return this.#used === 0
  }

  /** Takes `cost`, whether it is there or not. */
  take(cost: number, now: number): void {
    this.#drain(now)
    this.#used += cost
  }

  /** Puts `amount` back, of what was taken when the limit was `limitThen`; never to more than full. */
  giveBack(amount: number, limitThen: number, now: number): void {
    this.#drain(now)
    // The share that it took is what the change has kept.
    const back = limitThen === this.#limit ? amount : Math.floor((amount / limitThen) * this.#limit)
    this.#used -= back
    this.#floor()
  }

  /** Goes on with another limit. The share that is used stays, and so does the time until it is full again. */
  change(limit: number, now: number): void {
    if (limit === this.#limit) return
    this.#drain(now)
    const used = ((this.#used - this.#drained / this.#periodMs) / this.#limit) * limit
    this.#used = Math.ceil(used)
    this.#drained = Math.min(Math.floor((this.#used - used) * this.#periodMs), this.#periodMs - 1)
    this.#setLimit(limit)
  }

  #setLimit(limit: number): void {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError('a limit is a positive integer')
    this.#limit = limit
    this.#unitsPerMs = Math.floor(limit / this.#periodMs)
    this.#partsPerMs = limit % this.#periodMs
  }

  #drain(now: number): void {
    const elapsed = now - this.#at
    if (elapsed <= 0) return
    this.#at = now
    if (this.#used === 0) return
    const periods = Math.floor(elapsed / this.#periodMs)
    const rest = elapsed - periods * this.#periodMs
    // At most a day's milliseconds squared, and a bit: below 2^53, where the quotient's floor is exact too.
    const parts = rest * this.#partsPerMs + this.#drained
    const units = Math.floor(parts / this.#periodMs)
    this.#used -= periods * this.#limit + rest * this.#unitsPerMs + units
    this.#drained = parts - units * this.#periodMs
    this.#floor()
  }

  #floor(): void {
    if (this.#used > 0) return
    this.#used = 0
    this.#drained = 0
  }

  /** The milliseconds in which `missing` whole units drain. */
  #timeFor(missing: number): number {
    const time = Math.ceil((missing * this.#periodMs - this.#drained) / this.#limit)
    // The product may be beyond 2^53, and the quotient then a millisecond short.
    return this.#drainedWithin(time) >= missing ? time : time + 1
  }

  #drainedWithin(elapsed: number): number {
    const periods = Math.floor(elapsed / this.#periodMs)
    const rest = elapsed - periods * this.#periodMs
    const units = Math.floor((rest * this.#partsPerMs + this.#drained) / this.#periodMs)
    return periods * this.#limit + rest * this.#unitsPerMs + units
  }
}
