const endOfHead = '\r\n\r\n'
const endOfChunks = '0\r\n\r\n'

/** Takes the requests of one connection apart, no further than to find where each ends. */
export class RequestReader {
  readonly #onBody: (body: Buffer) => void
  #pending: Buffer = Buffer.alloc(0)

  /** `onBody` gets each request's body, as it was framed. */
  constructor(onBody: (body: Buffer) => void) {
    this.#onBody = onBody
  }

  push(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    for (let end = this.#endOfRequest(); end !== null; end = this.#endOfRequest()) {
      const request = this.#pending.subarray(0, end)
      this.#pending = this.#pending.subarray(end)
      this.#onBody(request.subarray(request.indexOf(endOfHead)))
    }
  }

  #endOfRequest(): number | null {
    const head = this.#pending.indexOf(endOfHead)
    if (head === -1) return null
    const text = this.#pending.toString('latin1', 0, head)
    const bodyAt = head + endOfHead.length
    if (/\r\ntransfer-encoding:\s*chunked/i.test(text)) {
      const end = this.#pending.indexOf(endOfChunks, bodyAt)
      return end === -1 ? null : end + endOfChunks.length
    }
    const end = bodyAt + Number(/\r\ncontent-length:\s*(\d+)/i.exec(text)?.[1] ?? 0)
    return this.#pending.length < end ? null : end
  }
}
