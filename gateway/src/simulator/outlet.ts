import type { Client } from './client.ts'

/** Writes a body with back-pressure and counts its bytes, up to the byte where it is to break off. */
export class Outlet {
  readonly #client: Client
  readonly #mostBytes: number
  readonly #trickles: boolean
  #bytes = 0

  constructor(client: Client, mostBytes: number, trickles: boolean) {
    this.#client = client
    this.#mostBytes = mostBytes
    this.#trickles = trickles
  }

  /** Bytes of the body that were handed to the socket. */
  get bytes(): number {
    return this.#bytes
  }

  /** Writes `data` and waits for room; `partly` is written up to the byte limit, `gone` perhaps not at all. */
  async write(data: string | Uint8Array): Promise<'written' | 'partly' | 'gone'> {
    const room = this.#mostBytes - this.#bytes
    const whole = room === Number.POSITIVE_INFINITY || Buffer.byteLength(data) <= room
    const allowed = whole ? data : Buffer.from(data).subarray(0, room)
    if (this.#trickles) await this.#trickle(Buffer.from(allowed))
    else if (allowed.length > 0 && !this.#client.gone) {
      this.#bytes += Buffer.byteLength(allowed)
      if (!this.#client.response.write(allowed)) await this.#client.room()
    }
    if (this.#client.gone) return 'gone'
    return whole ? 'written' : 'partly'
  }

  /** Writes the last of the body in one go with its end. */
  async end(data: string | Uint8Array): Promise<'written' | 'gone'> {
    if (this.#client.gone) return 'gone'
    this.#bytes += Buffer.byteLength(data)
    this.#client.response.end(data)
    await this.#client.finished()
    return this.#client.gone ? 'gone' : 'written'
  }

  async #trickle(bytes: Buffer): Promise<void> {
    for (let offset = 0; offset < bytes.length && !this.#client.gone; offset++) {
      this.#bytes++
      if (!this.#client.response.write(bytes.subarray(offset, offset + 1))) await this.#client.room()
      await nextTurn()
    }
  }
}

// One turn of the event loop a byte, so that each leaves in a packet of its own.
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
