import type { ServerResponse } from 'node:http'
import { cutOff } from './cut-off.ts'
import { beginning, endsEvent, streamEnding } from './event-stream.ts'

/** Where the bytes come from: it can be asked to wait. */
export interface Source {
  pause(): void
  resume(): void
}

/** Up to here an answer is copied into one write with its head, which costs less than a write of two pieces. */
const copiedBytes = 8 * 1024

/**
 * Writes one answer to the client, whole or as it comes. While the client reads too slowly, its source waits; a client
 * that stands still for too long is cut off.
 */
export class ClientWriter {
  readonly #outgoing: ServerResponse
  readonly #source: Source
  readonly #idleTimeoutMs: number
  #waiting = false
  #ending = beginning

  constructor(outgoing: ServerResponse, source: Source, idleTimeoutMs: number) {
    this.#outgoing = outgoing
    this.#source = source
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /** Begins an answer that will come in pieces. Its head leaves with the first of them, or with `flush`. `headers`: name, value, name, value…. */
  begin(status: number, headers: string[]): void {
    this.#outgoing.writeHead(status, headers)
  }

  write(bytes: Buffer): void {
    const outgoing = this.#outgoing
    if (outgoing.destroyed || outgoing.writableEnded) return
    this.#ending = streamEnding(this.#ending, bytes)
    if (!outgoing.write(bytes) && !this.#waiting) this.#wait()
  }

  /** Writes the last piece, which may be empty, and ends the answer. */
  end(bytes: Buffer): void {
    if (bytes.length === 0) this.#outgoing.end()
    else this.#outgoing.end(bytes)
  }

  /** Writes a whole answer at once. */
  answer(status: number, headers: string[], body: Buffer): void {
    this.#outgoing.writeHead(status, headers)
    // Node joins a text with its head; two buffers it hands to the kernel one by one.
    if (body.length > copiedBytes) this.#outgoing.end(body)
    else this.#outgoing.end(body.toString('latin1'), 'latin1')
  }

  /**
   * Breaks an answer off, so that no parser can take what came for a whole one. `lastEvent`, which tells the client
   * why, goes between events only, and never to a client that isn't reading: the end must not wait for it.
   */
  breakOff(lastEvent: string | null): void {
    const outgoing = this.#outgoing
    if (outgoing.destroyed || lastEvent === null || this.#waiting || !endsEvent(this.#ending))
      cutOff(outgoing)
    else outgoing.write(lastEvent, () => cutOff(outgoing))
  }

  /** Sends the head, if it has not gone. */
  flush(): void {
    const outgoing = this.#outgoing
    if (!outgoing.destroyed && !outgoing.writableEnded) outgoing.flushHeaders()
  }

  /** The source's own idle timeout rests while it waits: the client must not hold both for ever. */
  #wait(): void {
    const outgoing = this.#outgoing
    this.#waiting = true
    this.#source.pause()
    const idle = setTimeout(cutOff, this.#idleTimeoutMs, outgoing)
    const goOn = () => {
      clearTimeout(idle)
      outgoing.off('drain', goOn).off('close', goOn)
      this.#waiting = false
      this.#source.resume()
    }
    outgoing.on('drain', goOn).on('close', goOn)
  }
}
