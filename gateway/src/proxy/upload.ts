import type { IncomingMessage } from 'node:http'
import { LatchkeyError } from '@latchkey/shared'
import type { MultipartScanner } from './multipart-scanner.ts'
import { passedBytes } from './passing-memory.ts'
import type { Refusal } from './refusal.ts'

/** Why an upload was broken off on our side: the refusal that its model met on the way. */
export class UploadRefused extends LatchkeyError {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.code)
    this.refusal = refusal
  }
}

/** What a multipart form has said so far. */
export interface Form {
  readonly model: string | null
  /** It can be read in more than one way, or not at all. */
  readonly malformed: boolean
  /** Its text fields; values of more than 4 KiB stand as ''. Empty where it is malformed. */
  readonly fields: Readonly<Record<string, string>>
  /** Bytes of the values of all text fields, whole. */
  readonly fieldBytes: number
  /** Whether that is all: everything but the closing boundary has been let through. */
  readonly final: boolean
}

/** Says whether a form may go on. */
export type JudgeForm = (form: Form) => Refusal | null | Promise<Refusal | null>

/**
 * A request body that streams through and is never held whole. Of a multipart form the closing boundary is
 * withheld until it has been judged: a refusal breaks the upload off, so the upstream never has a whole request
 * to act on.
 */
export class Upload implements AsyncIterable<Buffer> {
  /**
   * Asked once, at the end of a form that `decide` allows, before its closing boundary is let through: where money
   * is held. Never asked about a body that is no form (`readsForm`).
   */
  beforeEnd: JudgeForm | null = null
  readonly #incoming: IncomingMessage
  readonly #scanner: MultipartScanner | null
  readonly #decide: JudgeForm
  readonly #idleTimeoutMs: number
  #bytes = 0
  #started = false
  #judged: Pick<Form, 'model' | 'malformed' | 'final'> = { model: null, malformed: false, final: false }

  /** `decide` is asked whenever the form has named its model or turned out to be malformed, and at its end. */
  constructor(
    incoming: IncomingMessage,
    scanner: MultipartScanner | null,
    decide: JudgeForm,
    idleTimeoutMs: number,
  ) {
    this.#incoming = incoming
    this.#scanner = scanner
    this.#decide = decide
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /** Whether it is a form that is read while it passes. */
  get readsForm(): boolean {
    return this.#scanner !== null
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

  /** The text fields of the form, as far as it has been read; values of more than 4 KiB stand as ''. */
  get fields(): Form['fields'] {
    return this.#scanner?.fields ?? {}
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    this.#started = true
    const scanner = this.#scanner
    if (scanner === null) {
      yield* this.#chunks()
      return
    }
    for await (const chunk of this.#chunks()) {
      const pass = scanner.push(chunk)
      // A malformed form does not end at its closing boundary: what follows goes on as it comes.
      await this.#judge(scanner, scanner.closed && scanner.malformed)
      if (pass.length > 0) yield pass
    }
    const rest = scanner.end()
    await this.#judge(scanner, true)
    if (rest.length > 0) yield rest
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
        passedBytes(chunk.length, this.#bytes)
        yield chunk
      }
    } finally {
      clearTimeout(idle)
    }
  }

  async #judge(scanner: MultipartScanner, final: boolean): Promise<void> {
    const { model, malformed } = scanner
    const judged = this.#judged
    if (judged.final || (!final && judged.model === model && judged.malformed === malformed)) return
    this.#judged = { model, malformed, final }
    const form: Form = { model, malformed, fields: scanner.fields, fieldBytes: scanner.fieldBytes, final }
    const refusal = (await this.#decide(form)) ?? (final ? await this.beforeEnd?.(form) : null)
    if (refusal) throw new UploadRefused(refusal)
  }
}
