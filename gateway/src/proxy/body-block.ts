import type { BodyShare } from './buffered-bytes.ts'

const leastCapacity = 16 * 1024
const nothing = Buffer.alloc(0)

/**
 * Gathers a body into one block of memory as it arrives. A chunk is copied and let go, since Node's bookkeeping of
 * a chunk of one byte takes hundreds; only a body that comes in a single one is kept as it came. What the share
 * is charged is the memory that is taken, not the bytes that arrived.
 */
export class BodyBlock {
  readonly #share: BodyShare
  readonly #mostBytes: number
  #single: Buffer | null = null
  #block: Buffer = nothing
  #length = 0
  #charged = 0

  /** `mostBytes`: the length that was announced, or the most that may come; taken only as bytes arrive. */
  constructor(share: BodyShare, mostBytes: number) {
    this.#share = share
    this.#mostBytes = mostBytes
  }

  get length(): number {
    return this.#length
  }

  /** Adds `chunk`, or says false where the memory for it is not to be had. No more than `mostBytes` may come. */
  add(chunk: Buffer): boolean {
    if (this.#length === 0) {
      // A slice keeps all that it was cut from.
      if (!this.#charge(chunk.buffer.byteLength)) return false
      this.#single = chunk
      this.#length = chunk.length
      return true
    }
    if (!this.#makeRoom(this.#length + chunk.length)) return false
    chunk.copy(this.#block, this.#length)
    this.#length += chunk.length
    return true
  }

  /** All that was added. */
  whole(): Buffer {
    return this.#single ?? this.#block.subarray(0, this.#length)
  }

  #makeRoom(length: number): boolean {
    if (length > this.#block.length) {
      const capacity = Math.min(this.#mostBytes, Math.max(leastCapacity, 2 * length))
      if (!this.#charge(capacity)) return false
      // Not of Node's pool, which such a slice would keep whole.
      const grown = Buffer.allocUnsafeSlow(capacity)
      this.whole().copy(grown)
      this.#block = grown
    }
    this.#single = null
    return true
  }

  #charge(capacity: number): boolean {
    const more = capacity - this.#charged
    if (more <= 0) return true
    if (!this.#share.take(more)) return false
    this.#charged = capacity
    return true
  }
}
