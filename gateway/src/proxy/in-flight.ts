import type { ServerResponse } from 'node:http'
import { cutOff } from './cut-off.ts'

/** Why an answer that ran past the deadline of a shutdown was cut. */
export class CutByShutdown extends Error {
  override readonly name = 'CutByShutdown'
}

/** The requests that are being served, so that a shutdown can wait for them, and end those that stay. */
export class InFlight {
  readonly #open = new Set<ServerResponse>()
  #draining = false
  #whenEmpty: (() => void) | null = null

  /** Whether new requests are refused. */
  get draining(): boolean {
    return this.#draining
  }

  get count(): number {
    return this.#open.size
  }

  add(outgoing: ServerResponse): void {
    this.#open.add(outgoing)
  }

  /** To be called when a request is over for the books and for its client alike. */
  remove(outgoing: ServerResponse): void {
    this.#open.delete(outgoing)
    if (this.#open.size === 0) this.#whenEmpty?.()
  }

  /** Refuses new requests and waits for those that run. After `milliseconds`, what still runs is cut. Gives their number. */
  async drain(milliseconds: number): Promise<number> {
    this.#draining = true
    if (this.#open.size === 0) return 0
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#whenEmpty = resolve
    const timer = setTimeout(resolve, milliseconds)
    await promise
    clearTimeout(timer)
    const cut = this.#open.size
    for (const outgoing of this.#open) cutOff(outgoing, new CutByShutdown())
    return cut
  }
}
