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
    let own = 0
    return {
      take: (bytes) => {
        const ofKey = (this.#heldByKey.get(keyId) ?? 0) + bytes
        if (this.#held + bytes > this.#most || ofKey > this.#mostPerKey) return false
        this.#held += bytes
        this.#heldByKey.set(keyId, ofKey)
        own += bytes
        return true
      },
      close: () => {
        if (own === 0) return
        this.#held -= own
        const left = (this.#heldByKey.get(keyId) ?? 0) - own
        if (left > 0) this.#heldByKey.set(keyId, left)
        else this.#heldByKey.delete(keyId)
        own = 0
      },
    }
  }
}
