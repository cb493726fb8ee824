const nothing = Buffer.alloc(0)
const smallestBlock = 1024

/**
 * Bytes that come in chunks, gathered in one block. Kept by themselves, small chunks cost hundreds of bytes
 * each, and keep alive all that they were cut from. A block has at most twice the bytes that it was made for.
 */
export class GatheredBytes {
  #block: Buffer = nothing
  #length = 0
  /** The block is somebody's chunk: it may be read and not written. */
  #borrowed = false

  get length(): number {
    return this.#length
  }

  /** All of them; what is done to this object afterwards may change them. */
  get bytes(): Buffer {
    return this.#length === this.#block.length ? this.#block : this.#block.subarray(0, this.#length)
  }

  append(chunk: Buffer): void {
    // Mostly there is but one chunk, and no need to copy it.
    if (this.#length === 0 && isMostOfItsMemory(chunk)) {
      this.#block = chunk
      this.#borrowed = true
      this.#length = chunk.length
      return
    }
    const length = this.#length + chunk.length
    if (this.#borrowed || length > this.#block.length) this.#moveTo(Math.max(length, 2 * this.#length))
    chunk.copy(this.#block, this.#length)
    this.#length = length
  }

  /** Drops the first `count` bytes, and the memory of a block that has become far too large. */
  dropFirst(count: number): void {
    const rest = this.#block.subarray(count, this.#length)
    if (this.#borrowed || this.#block.length > Math.max(4 * rest.length, 4 * smallestBlock)) {
      this.#block = rest.length === 0 ? nothing : Buffer.from(rest)
      this.#borrowed = false
    } else {
      this.#block.copyWithin(0, count, this.#length)
    }
    this.#length = rest.length
  }

  /** Gives all bytes away: nothing that is done to this object changes them any more. */
  take(): Buffer {
    const { bytes } = this
    this.#block = nothing
    this.#length = 0
    this.#borrowed = false
    return bytes
  }

  #moveTo(capacity: number): void {
    const block = Buffer.allocUnsafe(Math.max(capacity, smallestBlock))
    this.#block.copy(block, 0, 0, this.#length)
    this.#block = block
    this.#borrowed = false
  }
}

function isMostOfItsMemory(chunk: Buffer): boolean {
  return 4 * chunk.length >= chunk.buffer.byteLength
}
