import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type ProviderKeyTestWire, type Secret, systemClock, systemRandom } from '@latchkey/shared'
import type { VaultOptions } from '@latchkey/vault'
import type { Hono } from 'hono'
import { onTestFinished } from 'vitest'
import { createAdminApp } from '../../gateway/src/admin/app.ts'
import { ensureAdminToken } from '../../gateway/src/admin/token.ts'
import { builtInPrices } from '../../gateway/src/pricing/load-prices.ts'
import { PriceBook } from '../../gateway/src/pricing/price-book.ts'

import { type RecordedLog, recordLog } from '../support/recorded-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type TestVault, testVault } from '../vault/fixture.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The parsed body; tests look into it with matchers. */
  readonly body: unknown
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** Sent as JSON, or as it is where it is a string. */
  readonly body?: unknown
}

/** An admin plane on a real socket, with a vault and a database of its own. */
export interface AdminServer extends TestVault {
  readonly prices: PriceBook
  readonly app: Hono
  readonly url: string
  readonly token: string
  readonly log: RecordedLog
  /** A request with the admin token; a header that is undefined is left out. */
  ask(method: string, path: string, ask?: Ask): Promise<Answer>
}

export interface AdminOptions {
  readonly vault?: Partial<VaultOptions>
  readonly providerTest?: ProviderKeyTestWire
  readonly adminHost?: string
  readonly metricsToken?: Secret
}

export async function startAdminServer(options: AdminOptions = {}): Promise<AdminServer> {
  const parts = await testVault(options.vault)
  const log = recordLog()
  const adminToken = ensureAdminToken(temporaryDirectory(), systemRandom)
  const prices = new PriceBook({
    files: [builtInPrices()],
    database: parts.database.kysely,
    organizationId: parts.vault.defaultOrganizationId,
    changes: parts.vault.changes,
    log,
  })
  await prices.start()
  onTestFinished(() => prices.close())
  const app = createAdminApp({
    vault: parts.vault,
    database: parts.database.kysely,
    prices,
    adminToken,
    metricsToken: options.metricsToken ?? null,
    metrics: async () => 'latchkey_example 1\n',
    workers: async () => null,
    adminHost: options.adminHost ?? '127.0.0.1',
    longestRequestMs: 3_600_000,
    log,
    clock: systemClock,
    random: systemRandom,
    info: () => ({
      version: '1.2.3',
      pid: process.pid,
      startedAt: Date.parse('2026-01-02T03:04:05Z'),
      dataUrl: 'http://127.0.0.1:8787',
      draining: false,
      mode: 'embedded',
      records: {
        taken: 3,
        places: 10,
        queued: 1,
        spooled: 4,
        spooledBytes: 4_000,
        dropped: 2,
        deadLetters: 1,
        lost: 0,
        notCopied: 0,
        takenOver: 0,
      },
    }),
    testProviderKey: async () => options.providerTest ?? { kind: 'reachable', status: 200, durationMs: 1 },
  })
  const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = `http://127.0.0.1:${address.port}`
  const token = adminToken.reveal()
  return {
    ...parts,
    prices,
    app,
    url,
    token,
    log,
    ask: (method, path, ask) => send(url, token, method, path, ask),
  }
}

/** By node:http, since `fetch` would not let a test choose its Host header. */
async function send(
  url: string,
  token: string,
  method: string,
  path: string,
  ask: Ask = {},
): Promise<Answer> {
  const text = typeof ask.body === 'string' || ask.body === undefined ? ask.body : JSON.stringify(ask.body)
  const headers: Record<string, string> = { authorization: `Bearer ${token}` }
  if (text !== undefined) headers['content-type'] = 'application/json'
  for (const [name, value] of Object.entries(ask.headers ?? {})) {
    if (value === undefined) delete headers[name]
    else headers[name] = value
  }
  const outgoing = request(new URL(path, url), { method, headers, agent: false })
  outgoing.end(text)
  const [incoming] = await once(outgoing, 'response')
  const pieces: Buffer[] = []
  for await (const piece of incoming) pieces.push(piece)
  const received = Buffer.concat(pieces).toString('utf8')
  return { status: incoming.statusCode, headers: incoming.headers, text: received, body: parse(received) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
