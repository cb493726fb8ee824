import type { ServerResponse } from 'node:http'
import { cutOff } from './cut-off.ts'
import { beginning, endsEvent, streamEnding } from './event-stream.ts'
import { GatheredBytes } from './gathered-bytes.ts'

/** Where the bytes come from: it can be asked to wait. */
export interface Source {
  pause(): void
  resume(): void
}

/** Up to here an answer is copied into one write with its head, which costs less than a write of two pieces. */
const copiedBytes = 8 * 1024

/**
 * Writes one answer to the client, whole or as it comes. What comes in one tick leaves in one write. While the
 * client reads too slowly, its source waits; a client that stands still for too long is cut off.
 */
export class ClientWriter {
  readonly #outgoing: ServerResponse
  readonly #source: Source
  readonly #idleTimeoutMs: number
  readonly #pending = new GatheredBytes()
  #scheduled = false
  #waiting = false
  #ending = beginning

  constructor(outgoing: ServerResponse, source: Source, idleTimeoutMs: number) {
    this.#outgoing = outgoing
    this.#source = source
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /** Begins an answer that will come in pieces. `headers`: name, value, name, value…. */
  begin(status: number, headers: string[]): void {
    this.#outgoing.writeHead(status, headers)
    this.#schedule()
  }

  write(bytes: Buffer): void {
    this.#pending.append(bytes)
    this.#schedule()
  }

  /** Writes what is left and ends the answer. */
  end(): void {
    if (this.#pending.length === 0) this.#outgoing.end()
    else this.#outgoing.end(this.#pending.take())
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
    this.flush()
    const outgoing = this.#outgoing
    if (outgoing.destroyed || lastEvent === null || this.#waiting || !endsEvent(this.#ending))
      cutOff(outgoing)
    else outgoing.write(lastEvent, () => cutOff(outgoing))
  }

  /** Writes the head, if it has not gone, and what has gathered in this tick. */
  flush(): void {
    this.#scheduled = false
    const outgoing = this.#outgoing
    if (outgoing.destroyed || outgoing.writableEnded) return
    if (this.#pending.length === 0) {
      outgoing.flushHeaders()
      return
    }
    const bytes = this.#pending.take()
    this.#ending = streamEnding(this.#ending, bytes)
    if (!outgoing.write(bytes) && !this.#waiting) this.#wait()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(flushWriter, this)
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

function flushWriter(writer: ClientWriter): void {
  writer.flush()
}
