import type { Provider, Reading } from '../providers/provider.ts'
import { ChildScanner } from './child-scanner.ts'
import { StreamTail } from './stream-tail.ts'

/** Reads usage from the bytes of an answer that pass by. It never alters or delays them. */
export interface Meter {
  push(chunk: Buffer): void
  /** What was read once all bytes have passed, or as many as came; null where no usage was told. */
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
    for (const event of this.#tail.events()) {
      const reading = this.#provider.read(event)
      if (reading !== null) return reading
    }
    return null
  }
}

const parsedWhole = 64 * 1024
const fieldsOfInterest = new Set(['usage', 'model'])

/** A small answer is parsed at its end; of a large one only the fields of interest are picked out in passing. */
class JsonMeter implements Meter {
  readonly #provider: Provider
  readonly #fields: Record<string, unknown> = {}
  #chunks: Buffer[] = []
  #size = 0
  #scanner: ChildScanner | null = null

  constructor(provider: Provider) {
    this.#provider = provider
  }

  push(chunk: Buffer): void {
    if (this.#scanner !== null) {
      this.#scanner.push(chunk)
      return
    }
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size <= parsedWhole) return
    this.#scanner = new ChildScanner(({ name, bytes }) => {
      if (name !== null && bytes !== null) this.#fields[name] = parse(bytes)
    }, fieldsOfInterest)
    for (const held of this.#chunks) this.#scanner.push(held)
    this.#chunks = []
  }

  read(): Reading | null {
    return this.#provider.read(this.#scanner === null ? parse(Buffer.concat(this.#chunks)) : this.#fields)
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
