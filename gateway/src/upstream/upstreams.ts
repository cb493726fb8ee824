import { isIP } from 'node:net'
import type { Cidr } from '@latchkey/shared'
import { buildConnector, Pool } from 'undici'
import { simulatorHost } from '../providers/simulator/simulator.ts'
import { AddressRefused, addressPermitted, permittedLookup, refusal } from './address-policy.ts'

export interface UpstreamOptions {
  readonly allowed: readonly Cidr[]
  readonly connections: number
  readonly connectTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly idleTimeoutMs: number
  /** The private socket of the built-in simulator. */
  readonly simulatorSocket: string
}

/** Where a request to a provider key goes: its pool of connections, and the path that its base URL begins with. */
export interface Upstream {
  readonly pool: Pool
  readonly basePath: string
}

/** The connection pools, one per origin. An origin comes from a sealed provider key and from nowhere else. */
export class Upstreams {
  readonly #options: UpstreamOptions
  readonly #pools = new Map<string, Pool>()
  readonly #byBaseUrl = new Map<string, Upstream>()

  constructor(options: UpstreamOptions) {
    this.#options = options
  }

  /** The upstream of a canonical base URL. */
  at(baseUrl: string): Upstream {
    const known = this.#byBaseUrl.get(baseUrl)
    if (known !== undefined) return known
    const url = new URL(baseUrl)
    const upstream = { pool: this.#pool(url), basePath: url.pathname === '/' ? '' : url.pathname }
    this.#byBaseUrl.set(baseUrl, upstream)
    return upstream
  }

  /** Ends every connection, also those in use. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
  }

  #pool(url: URL): Pool {
    const known = this.#pools.get(url.origin)
    if (known !== undefined) return known
    const { connections, headersTimeoutMs, idleTimeoutMs } = this.#options
    const pool = new Pool(url.origin, {
      connections,
      pipelining: 1,
      allowH2: false,
      headersTimeout: headersTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      keepAliveTimeout: 15_000,
      maxHeaderSize: 64 * 1024,
      connect: this.#connector(url),
    })
    this.#pools.set(url.origin, pool)
    return pool
  }

  #connector(url: URL): buildConnector.connector {
    const { allowed, connectTimeoutMs, simulatorSocket } = this.#options
    if (url.hostname === simulatorHost)
      return buildConnector({ timeout: connectTimeoutMs, socketPath: simulatorSocket })
    const secure = url.protocol === 'https:'
    const connect = buildConnector({
      timeout: connectTimeoutMs,
      allowH2: false,
      // Said, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment can't undo it.
      rejectUnauthorized: true,
      lookup: permittedLookup(secure, allowed),
    })
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    if (isIP(literal) === 0 || addressPermitted(literal, secure, allowed)) return connect
    // A literal address is never looked up, so it is judged here.
    return (_options, callback) => callback(new AddressRefused(refusal(url.hostname, secure)), null)
  }
}
