import { randomBytes } from 'node:crypto'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { mintedProxyKeyWire } from '@latchkey/shared'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { startGateway } from './budgets/gateway.ts'

/** How many a minute the key may send, which is also how many it may send at once. */
export const perMinute = 100
const minuteMs = 60_000
const lanes = 16

export interface SharedLimitOptions {
  readonly requests: number
  /** Over so many milliseconds they are spread. */
  readonly overMs: number
  /** Kill Redis in the middle. */
  readonly killRedis: boolean
}

export interface SharedLimitResult {
  readonly requests: number
  /** By the upstream's own count. */
  readonly served: number
  /** The most that the upstream saw in any minute, and the most that the promise allows. */
  readonly mostInAMinute: number
  readonly bound: number
  /** The same from the moment on at which Redis was killed; null: it was not. */
  readonly outage: { readonly served: number; readonly bound: number } | null
}

/** Whether the promise was kept. */
export function holds({ mostInAMinute, bound, outage }: SharedLimitResult): boolean {
  return mostInAMinute <= bound && (outage === null || outage.served <= outage.bound)
}

/** Two gateways, each a process, one key, and an upstream that notes when each request came. */
export async function tryRequests({
  requests,
  overMs,
  killRedis,
}: SharedLimitOptions): Promise<SharedLimitResult> {
  const arrivals: number[] = []
  const upstream = createServer((incoming, outgoing) => {
    incoming.resume()
    arrivals.push(performance.now())
    outgoing.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[]}')
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  const address = upstream.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-limit-'))
  const settings = {
    LATCHKEY_DATA_DIR: directory,
    LATCHKEY_PORT: '0',
    LATCHKEY_ADMIN_PORT: '0',
    LATCHKEY_ALLOW_UPSTREAM_CIDRS: '127.0.0.0/8',
    LATCHKEY_ROOT_KEY: randomBytes(32).toString('base64'),
    DATABASE_URL: postgres.url(await postgres.createDatabase()),
    REDIS_URL: redis.url,
  }
  const gateways = await Promise.all([startGateway(settings), startGateway(settings)])
  try {
    const [first] = gateways
    await first.admin('POST', '/provider-keys', {
      ...{ name: 'upstream', provider: 'openai-compatible', secret: 'sk-of-the-proof' },
      baseUrl: `http://127.0.0.1:${address.port}/v1`,
    })
    const minted = mintedProxyKeyWire.parse(
      await first.admin('POST', '/keys', {
        ...{ name: 'limited', providerKeys: ['upstream'] },
        limits: [{ unit: 'requests', per: 'minute', limit: perMinute }],
      }),
    )
    const began = performance.now()
    let next = 0
    const clients = Array.from({ length: lanes }, async (_, lane) => {
      const gateway = gateways[lane % 2] ?? first
      while (next < requests) {
        const due = began + (overMs * next++) / requests
        await sleep(Math.max(0, due - performance.now()))
        const response = await fetch(`${gateway.dataUrl}/v1/models`, {
          headers: { authorization: `Bearer ${minted.key}` },
        })
        await response.arrayBuffer()
        if (response.status !== 200 && response.status !== 429) throw new Error(`status ${response.status}`)
      }
    })
    let killedAt = Number.POSITIVE_INFINITY
    const kill = async () => {
      await sleep(overMs / 2)
      killedAt = performance.now()
      await redis.kill()
    }
    await Promise.all([...clients, killRedis ? kill() : null])
    const inOutage = arrivals.filter((arrival) => arrival >= killedAt).length
    const sinceMs = Math.max(0, performance.now() - killedAt)
    const outage = {
      served: inOutage,
      // The shares of both, full at first, with what refills in them; and what was on its way.
      bound: perMinute + Math.ceil((perMinute * sinceMs) / minuteMs) + lanes,
    }
    return {
      requests,
      served: arrivals.length,
      mostInAMinute: most(arrivals),
      // Of each minute: what was full at its beginning, and what refills in it; with an outage one limit more.
      bound: 2 * perMinute + (killRedis ? perMinute : 0),
      outage: killRedis ? outage : null,
    }
  } finally {
    await Promise.all(gateways.map((gateway) => gateway.stop()))
    await Promise.all([postgres.discard(), redis.discard()])
    upstream.closeAllConnections()
    upstream.close()
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** The most arrivals in any stretch of a minute, wherever it begins. */
function most(arrivals: readonly number[]): number {
  let best = 0
  let from = 0
  for (const [index, arrival] of arrivals.entries()) {
    while (arrival - (arrivals[from] ?? arrival) >= minuteMs) from += 1
    best = Math.max(best, index - from + 1)
  }
  return best
}
