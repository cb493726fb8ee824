import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { ProviderKeyTestWire } from '@latchkey/shared'
import type { BoundProviderKey, Vault } from '@latchkey/vault'
import { createAdminApp } from '../admin/app.ts'
import { ensureAdminToken } from '../admin/token.ts'
import type { BudgetEngine } from '../budget/engine.ts'
import type { BodyQueue } from '../capture/body-queue.ts'
import type { Config } from '../config.ts'
import { exposition, type Family } from '../metrics/exposition.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { PriceBook } from '../pricing/price-book.ts'
import type { ProxyPorts } from '../proxy/pipeline.ts'
import { testProviderKey } from '../upstream/test-provider-key.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import { version } from '../version.ts'
import type { Closers } from './closers.ts'
import type { Limits } from './limits.ts'
import { closeServer, listen } from './listen.ts'
import type { Records } from './records.ts'
import type { Storage, StorageSurroundings } from './storage.ts'
import type { Tracing } from './tracing.ts'
import type { Siblings } from './workers/siblings.ts'

/** What of this process the admin plane shows and changes. */
export interface AdminPlaneParts extends StorageSurroundings {
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly dataUrl: string
  readonly storage: Storage
  readonly vault: Vault
  readonly prices: PriceBook
  readonly records: Records
  readonly bodies: BodyQueue
  readonly budgets: BudgetEngine
  readonly limits: Limits
  readonly metrics: Metrics
  readonly tracing: Tracing | null
  readonly upstreams: Upstreams
  readonly ports: ProxyPorts
  /** Null: no other process serves on these ports. */
  readonly siblings: Siblings | null
}

/** Serves the admin plane and gives its origin. Throws as `listen` does. */
export async function openAdminPlane(
  config: Config,
  closers: Closers,
  parts: AdminPlaneParts,
): Promise<string> {
  const { startedAt, dataUrl, storage, vault, prices, records, ports, siblings, clock, random, log } = parts
  siblings?.join({
    metrics: () => metricFamilies(parts),
    status: () => ({
      startedAt: new Date(startedAt).toISOString(),
      draining: ports.inFlight.draining,
      sealed: vault.sealed,
      records: records.figures(),
    }),
  })
  const app = createAdminApp({
    ...{ vault, prices, clock, random, log },
    database: storage.database.kysely,
    adminToken: ensureAdminToken(config.dataDirectory, random, config.keyPrefix),
    metricsToken: config.metricsToken,
    metrics: async () => (await siblings?.metricsPage()) ?? exposition(metricFamilies(parts)),
    workers: async () => (await siblings?.list()) ?? null,
    adminHost: config.adminHost,
    longestRequestMs: config.totalTimeoutMs,
    info: () => ({
      version,
      pid: process.pid,
      startedAt,
      dataUrl,
      draining: ports.inFlight.draining,
      mode: storage.mode,
      records: records.figures(),
    }),
    testProviderKey: (key) => tryProviderKey(parts, key),
  })
  const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  const { adminHost, adminPort } = config
  const url = await listen(server, adminHost, adminPort, 'LATCHKEY_ADMIN_HOST', 'LATCHKEY_ADMIN_PORT')
  closers.add('admin plane', () => closeServer(server))
  return url
}

function metricFamilies({
  storage,
  vault,
  records,
  bodies,
  budgets,
  limits,
  metrics,
  tracing,
  ports,
}: AdminPlaneParts): readonly Family[] {
  return metrics.families({
    version,
    mode: storage.mode,
    sealed: vault.sealed,
    draining: ports.inFlight.draining,
    inFlight: ports.inFlight.count,
    bufferedBytes: ports.buffered.held,
    argon2Runs: vault.argon2Runs,
    records: records.figures(),
    bodies: bodies.figures(),
    leases: { ...budgets.leased, statements: budgets.statements },
    limiter: limits.figures(),
    traces: tracing?.figures() ?? null,
    database: storage.database.pool,
  })
}

async function tryProviderKey(
  { vault, upstreams, ports, clock }: AdminPlaneParts,
  key: BoundProviderKey,
): Promise<ProviderKeyTestWire> {
  const opened = vault.openProviderKey(key)
  if (opened.kind === 'opened') return testProviderKey(upstreams, key, opened.secret, ports.viaName, clock)
  return {
    kind: 'unreachable',
    code: opened.kind,
    message: `The vault can't open this provider key: it is ${opened.kind}.`,
  }
}
