import { type CaptureMemory, isText, mostBodyBytes } from './captured-body.ts'

/** What a tap has gathered of one body. */
export interface Gathered {
  readonly mediaType: string
  readonly bytes: number
  readonly content: Uint8Array | null
  readonly truncated: boolean
  /** Bytes of the capture memory, which now belong to whoever has this. */
  readonly held: number
}

const firstBytes = 4 * 1024

/**
 * Copies the beginning of a passing body. It alters nothing and waits for nobody: where there is no memory for it, it
 * lets go of what it has.
 */
export class BodyTap {
  readonly #memory: CaptureMemory
  #mediaType = ''
  #buffer: Buffer | null = null
  #length = 0
  #bytes = 0
  #skipped = false

  constructor(memory: CaptureMemory) {
    this.#memory = memory
  }

  /** A body begins; one that had begun before is forgotten. What is `encoded` can't be read. */
  begin(mediaType: string, encoded: boolean): void {
    this.drop()
    this.#mediaType = mediaType
    this.#skipped = false
    if (encoded || !isText(mediaType)) return
    if (this.#memory.take(firstBytes)) this.#buffer = Buffer.allocUnsafe(firstBytes)
    else this.#skipped = true
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    if (this.#buffer === null || this.#length === mostBodyBytes) return
    const wanted = Math.min(this.#length + chunk.length, mostBodyBytes)
    const buffer = wanted <= this.#buffer.length ? this.#buffer : this.#grow(this.#buffer, wanted)
    if (buffer === null) return
    buffer.set(chunk.subarray(0, wanted - this.#length), this.#length)
    this.#length = wanted
  }

  /** What was gathered; null: nothing has passed, or there was no memory for it. The tap is done then. */
  take(): Gathered | null {
    const buffer = this.#buffer
    if (this.#skipped || this.#bytes === 0) {
      this.drop()
      return null
    }
    this.#buffer = null
    return {
      mediaType: this.#mediaType,
      bytes: this.#bytes,
      content: buffer === null ? null : buffer.subarray(0, this.#length),
      truncated: buffer !== null && this.#bytes > this.#length,
      held: buffer?.length ?? 0,
    }
  }

  /** Forgets what was gathered. */
  drop(): void {
    this.#memory.give(this.#buffer?.length ?? 0)
    this.#buffer = null
    this.#length = 0
    this.#bytes = 0
  }

  #grow(buffer: Buffer, wanted: number): Buffer | null {
    const size = Math.min(mostBodyBytes, Math.max(wanted, 2 * buffer.length))
    if (!this.#memory.take(size - buffer.length)) {
      this.#skipped = true
      this.#memory.give(buffer.length)
      this.#buffer = null
      return null
    }
    const larger = Buffer.allocUnsafe(size)
    buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
    return larger
  }
}
