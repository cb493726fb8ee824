import type { IncomingMessage } from 'node:http'
import { LatchkeyError } from '@latchkey/shared'
import type { MultipartScanner } from './multipart-scanner.ts'
import type { Refusal } from './refusal.ts'

/** Why an upload was broken off on our side: the refusal that its model met on the way. */
export class UploadRefused extends LatchkeyError {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.code)
    this.refusal = refusal
  }
}

/**
 * A request body that streams through and is never held whole. Of a multipart form the closing
 * boundary is withheld until `decide` has agreed to the model: a refusal breaks the upload off, so
 * the upstream never has a whole request to act on.
 */
export class Upload implements AsyncIterable<Buffer> {
  readonly #incoming: IncomingMessage
  readonly #scanner: MultipartScanner | null
  readonly #decide: (model: string | null, malformed: boolean) => Refusal | null
  readonly #idleTimeoutMs: number
  #bytes = 0
  #started = false

  constructor(
    incoming: IncomingMessage,
    scanner: MultipartScanner | null,
    decide: (model: string | null, malformed: boolean) => Refusal | null,
    idleTimeoutMs: number,
  ) {
    this.#incoming = incoming
    this.#scanner = scanner
    this.#decide = decide
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /** Bytes received so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether any of it has been read: then it can't be sent a second time. */
  get started(): boolean {
    return this.#started
  }

  /** The model that the form names, as far as it has been read. */
  get model(): string | null {
    return this.#scanner?.model ?? null
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    this.#started = true
    const scanner = this.#scanner
    let decided = false
    for await (const chunk of this.#chunks()) {
      if (scanner === null) {
        yield chunk
        continue
      }
      const { pass, closing } = scanner.push(chunk)
      if (pass.length > 0) yield pass
      if (closing !== null || scanner.malformed || scanner.model !== null) this.#refuseUnlessAllowed(scanner)
      if (closing !== null) {
        decided = true
        yield closing
      }
    }
    const rest = scanner?.end() ?? null
    if (scanner !== null && !decided) this.#refuseUnlessAllowed(scanner)
    if (rest !== null && rest.length > 0 && !decided) yield rest
  }

  /** The chunks as they come. An upload in which nothing moves, on whichever side, is broken off. */
  async *#chunks(): AsyncGenerator<Buffer> {
    const idle = setTimeout(() => this.#incoming.destroy(), this.#idleTimeoutMs)
    try {
      // The iterator must not destroy the socket when an upstream answers early: the answer goes over it.
      const chunks: AsyncIterable<Buffer> = this.#incoming.iterator({ destroyOnReturn: false })
      for await (const chunk of chunks) {
        idle.refresh()
        this.#bytes += chunk.length
        yield chunk
      }
    } finally {
      clearTimeout(idle)
    }
  }

  #refuseUnlessAllowed(scanner: MultipartScanner): void {
    const refusal = this.#decide(scanner.model, scanner.malformed)
    if (refusal !== null) throw new UploadRefused(refusal)
  }
}
