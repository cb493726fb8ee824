import type { Clock } from '@latchkey/shared'
import type { NamedLimit } from './limit.ts'

/** Segments of one key that are counted apart at a time. */
const mostPerKey = 1_000
/** Of all keys, so that memory is bounded however many of them name segments. */
const mostInAll = 100_000
/** Segments that each call looks at for something to forget. More than a call can add, so the map stays small. */
const sweptPerAsk = 4
const mostSeconds = 86_400

/** Where a request's own limit is counted: the id of a scope, and the limit that holds there. */
export interface Segment {
  readonly id: string
  readonly limit: NamedLimit
  /** The key that it is counted apart for; null: it is what the rest of a key's segments share. */
  readonly keyId: string | null
}

interface Known {
  readonly keyId: string
  /** Monotonic. Whoever has not asked for a whole window has all of it again, unless in debt. */
  readonly until: number
}

/**
 * Which segments are counted apart. Their names come from headers, so whoever sends those could make any number of
 * them: of each key a thousand are, and the rest share one.
 */
export class Segments {
  readonly #clock: Clock
  readonly #known = new Map<string, Known>()
  readonly #counts = new Map<string, number>()
  #sweep = this.#known.entries()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Segments that are remembered. */
  get size(): number {
    return this.#known.size
  }

  /** The place of `limit` in the segment `name` of a key. */
  place(keyId: string, name: string, limit: NamedLimit): Segment {
    const now = this.#clock.monotonic()
    this.#forgetOld(now)
    const id = idOf(keyId, name, limit)
    if (!this.#known.has(id) && !this.#hasRoom(keyId)) return sharedBy(keyId, limit)
    this.#keep(id, keyId, now + limit.per * 1000)
    return { id, limit, keyId }
  }

  /**
   * A request has used so much in `segment`. What is in debt keeps its place until it has refilled: a bucket lives as
   * long as its debt, and there would be any number of them behind names that are forgotten.
   */
  use({ id, limit, keyId }: Segment, used: number): void {
    if (keyId === null || used <= limit.limit) return
    this.#keep(id, keyId, this.#clock.monotonic() + (1 + used / limit.limit) * limit.per * 1000)
  }

  #keep(id: string, keyId: string, until: number): void {
    const known = this.#known.get(id)
    if (known !== undefined && known.until >= until) return
    this.#known.set(id, { keyId, until })
    if (known === undefined) this.#counts.set(keyId, (this.#counts.get(keyId) ?? 0) + 1)
  }

  #hasRoom(keyId: string): boolean {
    return this.#known.size < mostInAll && (this.#counts.get(keyId) ?? 0) < mostPerKey
  }

  #forgetOld(now: number): void {
    for (let looked = 0; looked < sweptPerAsk; looked++) {
      const { done, value } = this.#sweep.next()
      if (done === true) {
        this.#sweep = this.#known.entries()
        return
      }
      const [id, { keyId, until }] = value
      if (until > now) continue
      this.#known.delete(id)
      const left = (this.#counts.get(keyId) ?? 0) - 1
      if (left > 0) this.#counts.set(keyId, left)
      else this.#counts.delete(keyId)
    }
  }
}

/** Each unit and window has a scope of its own, so that no scope has more than one bucket. */
function idOf(keyId: string, name: string, { unit, per }: NamedLimit): string {
  return `${keyId}:${unit}:${per}:${name}`
}

/** Windows are rounded up to a power of two, which only narrows: or the rest would have as many as there are seconds. */
function sharedBy(keyId: string, limit: NamedLimit): Segment {
  const per = Math.min(mostSeconds, 2 ** Math.ceil(Math.log2(limit.per)))
  const shared = { ...limit, per }
  return { id: idOf(keyId, 'rest', shared), limit: shared, keyId: null }
}
