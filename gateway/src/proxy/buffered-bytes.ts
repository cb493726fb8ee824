/** What one request holds of the memory for bodies. Whoever opened it closes it. */
export interface BodyShare {
  /** Takes `bytes` more, or nothing and says false where they don't fit. */
  take(bytes: number): boolean
  /** Gives everything back. */
  close(): void
}

/**
 * Bounds the request bodies that are held in memory: over all requests, and for one key to a quarter
 * of that, so that none can take the memory away from the others by sending slowly.
 */
export class BufferedBytes {
  readonly #most: number
  readonly #mostPerKey: number
  readonly #heldByKey = new Map<string, number>()
  #held = 0

  /** `most` bytes in all; a key may hold one body of `largestBody` in any case. */
  constructor(most: number, largestBody: number) {
    this.#most = most
    this.#mostPerKey = Math.max(most / 4, largestBody)
  }

  /** Bytes held by all requests. */
  get held(): number {
    return this.#held
  }

  /** A share for a request of the key `keyId`, empty at first. */
  open(keyId: string): BodyShare {
    return new Share(this, keyId)
  }

  /** For a share: takes `bytes` for a key, or says false. */
  take(keyId: string, bytes: number): boolean {
    const ofKey = (this.#heldByKey.get(keyId) ?? 0) + bytes
    if (this.#held + bytes > this.#most || ofKey > this.#mostPerKey) return false
    this.#held += bytes
    this.#heldByKey.set(keyId, ofKey)
    return true
  }

  /** For a share: gives back what it took. */
  giveBack(keyId: string, bytes: number): void {
    this.#held -= bytes
    const left = (this.#heldByKey.get(keyId) ?? 0) - bytes
    if (left > 0) this.#heldByKey.set(keyId, left)
    else this.#heldByKey.delete(keyId)
  }
}

class Share implements BodyShare {
  readonly #of: BufferedBytes
  readonly #keyId: string
  #own = 0

  constructor(of: BufferedBytes, keyId: string) {
    this.#of = of
    this.#keyId = keyId
  }

  take(bytes: number): boolean {
    if (!this.#of.take(this.#keyId, bytes)) return false
    this.#own += bytes
    return true
  }

  close(): void {
    if (this.#own === 0) return
    this.#of.giveBack(this.#keyId, this.#own)
    this.#own = 0
  }
}
