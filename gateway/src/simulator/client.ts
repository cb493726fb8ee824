import type { ServerResponse } from 'node:http'

/**
 * Whoever waits for an answer, seen from the writing side: every wait for time or for room in the
 * socket also ends when they leave. One wait at a time.
 */
export class Client {
  readonly response: ServerResponse
  #gone = false
  #finished = false
  #wake: (() => void) | null = null

  constructor(response: ServerResponse) {
    this.response = response
    response.once('finish', () => {
      this.#finished = true
      this.#wake?.()
    })
    response.once('close', () => {
      this.#gone = !this.#finished
      this.#wake?.()
    })
    response.on('drain', () => this.#wake?.())
    // A write that a departure overtakes reports it here too; the close event is the one that counts.
    response.on('error', () => undefined)
  }

  /** Whether the connection ended before the whole answer was handed to the operating system. */
  get gone(): boolean {
    return this.#gone
  }

  async wait(milliseconds: number): Promise<void> {
    if (this.#gone) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = setTimeout(resolve, milliseconds)
    })
    this.#wake = null
    clearTimeout(timer)
  }

  /** Resolves when the socket has room again. */
  async room(): Promise<void> {
    while (!this.#gone && this.response.writableNeedDrain) await this.#woken()
  }

  /** Resolves when the whole answer is with the operating system, or never will be. */
  async finished(): Promise<void> {
    while (!this.#gone && !this.#finished) await this.#woken()
  }

  async left(): Promise<void> {
    while (!this.#gone) await this.#woken()
  }

  /** Resolves when what was written so far is with the operating system, headers included. */
  async flushed(): Promise<void> {
    this.response.flushHeaders()
    const socket = this.response.socket
    if (this.#gone || socket === null) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      socket.write('', () => resolve())
    })
    this.#wake = null
  }

  async #woken(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = null
  }
}
