import type { Provider, Reading } from '../providers/provider.ts'
import { ChildScanner } from './child-scanner.ts'
import { GatheredBytes } from './gathered-bytes.ts'
import { parseModestJson } from './modest-json.ts'
import { StreamTail } from './stream-tail.ts'

/** Reads usage from the bytes of an answer that pass by. It never alters or delays them. */
export interface Meter {
  push(chunk: Buffer): void
  /** What was read once all bytes have passed, or as many as came; null where no usage was told. To be called once. */
  read(): Reading | null
}

/** The meter for an answer of that media type; null where usage can't be read from it. */
export function createMeter(provider: Provider, mediaType: string, encoded: boolean): Meter | null {
  if (encoded) return null
  if (mediaType === 'text/event-stream') return new StreamMeter(provider)
  return mediaType === 'application/json' ? new JsonMeter(provider) : null
}

class StreamMeter implements Meter {
  readonly #provider: Provider
  readonly #tail = new StreamTail()

  constructor(provider: Provider) {
    this.#provider = provider
  }

  push(chunk: Buffer): void {
    this.#tail.push(chunk)
  }

  read(): Reading | null {
    for (const value of this.#tail.usageEvents()) {
      const reading = this.#provider.read(value)
      if (reading !== null) return reading
    }
    return null
  }
}

const parsedWhole = 64 * 1024
const longestMember = 8 * 2 ** 20

/** A small answer is parsed at its end; of a large one only the members that matter are picked out in passing. */
class JsonMeter implements Meter {
  readonly #provider: Provider
  readonly #answer = new GatheredBytes()
  readonly #members: Record<string, unknown> = {}
  #scanner: ChildScanner | null = null

  constructor(provider: Provider) {
    this.#provider = provider
  }

  push(chunk: Buffer): void {
    if (this.#scanner !== null) {
      this.#scanner.push(chunk)
      return
    }
    this.#answer.append(chunk)
    if (this.#answer.length > parsedWhole) this.#pickOut()
  }

  read(): Reading | null {
    return this.#provider.read(this.#scanner === null ? parseModestJson(this.#answer.take()) : this.#members)
  }

  #pickOut(): void {
    const { read, noticed } = this.#provider.answerMembers
    this.#scanner = new ChildScanner(
      ({ name, bytes }) => {
        if (name !== null && (bytes !== null || read.has(name) || noticed.has(name)))
          this.#members[name] = bytes === null ? null : parseModestJson(bytes)
      },
      read,
      longestMember,
    )
    this.#scanner.push(this.#answer.take())
  }
}
