import type { ServerResponse } from 'node:http'
import type { ProxyKeyId } from '@latchkey/shared'
import { cutOff } from './cut-off.ts'

/** Why the gateway itself cut an answer: it ran past the deadline of a shutdown, or its key is compromised. */
export class CutByGateway extends Error {
  override readonly name = 'CutByGateway'
  readonly code: 'draining' | 'revoked_api_key'

  constructor(code: 'draining' | 'revoked_api_key') {
    super(`cut: ${code}`)
    this.code = code
  }
}

/**
 * The requests that are being served, and with which key, so that a shutdown can wait for them and end those that
 * stay, and so that those of a compromised key can be ended.
 */
export class InFlight {
  readonly #open = new Map<ServerResponse, ProxyKeyId | null>()
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
    this.#open.set(outgoing, null)
  }

  /** Says whose request it is, once that is known. */
  own(outgoing: ServerResponse, key: ProxyKeyId): void {
    this.#open.set(outgoing, key)
  }

  /** The keys whose requests are being served. */
  keys(): ReadonlySet<ProxyKeyId> {
    const keys = new Set<ProxyKeyId>()
    for (const key of this.#open.values()) if (key !== null) keys.add(key)
    return keys
  }

  /** Cuts the requests of these keys off, in the middle of what they are. Gives their number. */
  cutOffKeys(keys: ReadonlySet<ProxyKeyId>): number {
    let cut = 0
    for (const [outgoing, key] of this.#open) {
      if (key === null || !keys.has(key)) continue
      cutOff(outgoing, new CutByGateway('revoked_api_key'))
      cut += 1
    }
    return cut
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
    for (const outgoing of this.#open.keys()) cutOff(outgoing, new CutByGateway('draining'))
    return cut
  }
}
