import { join } from 'node:path'
import { type Clock, errorFields, type Log, type RandomBytes } from '@latchkey/shared'
import { migrate, migrations } from '@latchkey/shared/database'
import { openVault, type Vault, type VaultOptions } from '@latchkey/vault'
import type { BudgetTimes } from '../budget/budget-times.ts'
import { BudgetEngine } from '../budget/engine.ts'
import { BodyQueue } from '../capture/body-queue.ts'
import type { Config } from '../config.ts'
import { createDataPlane, type Readiness } from '../data-plane.ts'
import { KeyViews } from '../holder/key-view.ts'
import type { HolderPorts } from '../holder/serve-key.ts'
import { Segments } from '../limits/segments.ts'
import { Metrics } from '../metrics/metrics.ts'
import { loadPriceFiles } from '../pricing/load-prices.ts'
import { PriceBook } from '../pricing/price-book.ts'
import { TokenCounter } from '../pricing/token-count.ts'
import { BufferedBytes } from '../proxy/buffered-bytes.ts'
import { CompromisedKeys } from '../proxy/compromised-keys.ts'
import { InFlight } from '../proxy/in-flight.ts'
import type { ProxyPorts } from '../proxy/pipeline.ts'
import { startSimulator } from '../simulator/simulator.ts'
import { Upstreams } from '../upstream/upstreams.ts'
import { viaName } from '../upstream/via.ts'
import { version } from '../version.ts'
import { openAdminPlane } from './admin-plane.ts'
import { removeAnnouncement, writeAnnouncement } from './announcement.ts'
import { Closers } from './closers.ts'
import { startFault } from './database-refusal.ts'
import { addFirstOpenAiKey } from './first-openai-key.ts'
import { openLimits, openRedis } from './limits.ts'
import { closeServer, listen } from './listen.ts'
import { openStorage } from './open-storage.ts'
import type { PrivateDatabase } from './private-database.ts'
import { openRecords } from './records.ts'
import type { RedisHandle } from './redis.ts'
import { redisBell } from './redis-bell.ts'
import type { Storage } from './storage.ts'
import { openTracing } from './tracing.ts'
import { warmUp } from './warm-up.ts'
import type { Siblings } from './workers/siblings.ts'

/** What a gateway takes from outside its configuration. */
export interface Surroundings {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  /** The workers that serve on the same ports, this one among them; null: it is alone there. */
  readonly siblings?: Siblings | null
  /** Other times than those of budgets everywhere: for proofs that would wait for minutes. */
  readonly budgetTimes?: Partial<BudgetTimes>
  /** Embedded mode's database, where it is being started already; the gateway closes it. Else it starts one. */
  readonly privateDatabase?: Promise<PrivateDatabase> | null
}

/** A gateway that serves. */
export interface Gateway {
  /** Origins, without a path. */
  readonly dataUrl: string
  readonly adminUrl: string
  readonly mode: Storage['mode']
  readonly vault: Vault
  /** Lets running requests finish within the drain timeout, writes the records, stops the database. */
  stop(): Promise<void>
}

/**
 * Opens everything in the order in which it depends on each other and serves once all is warm. Throws
 * a fault of the `start` plane; what had been opened is closed again, in reverse.
 */
export async function startGateway(config: Config, surroundings: Surroundings): Promise<Gateway> {
  const closers = new Closers(surroundings.log)
  try {
    return await open(config, surroundings, closers)
  } catch (error) {
    await closers.closeAll()
    // One that is being started for us, and that nothing has taken yet.
    const unused = await surroundings.privateDatabase?.catch(() => null)
    await unused?.close()
    throw startFault(error, config.database)
  }
}

async function open(
  config: Config,
  { clock, random, log, siblings = null, budgetTimes = {}, privateDatabase = null }: Surroundings,
  closers: Closers,
): Promise<Gateway> {
  const startedAt = clock.now()
  const priceFiles = await loadPriceFiles(config.pricesFile)
  const storage = await openStorage(config, { clock, random, log }, privateDatabase)
  closers.add('storage', () => storage.close())
  const redis = config.redis === null ? null : await openRedis(config.redis, log)
  if (redis !== null) closers.add('redis', async () => redis.close())
  await migrate(storage.database.pool, migrations, { clock, log })

  const vault = await openVault({
    db: storage.database.kysely,
    listener: storage.listener,
    ...bellOf(config, redis, log),
    rootKey: config.rootKey,
    clock,
    random,
    log,
    prefix: config.keyPrefix,
    staleForMs: config.snapshotMaxAgeMs,
  })
  closers.add('vault', () => vault.close())
  await addFirstOpenAiKey(vault, config.firstOpenAiKey, log)

  const prices = new PriceBook({
    files: priceFiles,
    database: storage.database.kysely,
    organizationId: vault.defaultOrganizationId,
    changes: vault.changes,
    log,
  })
  closers.add('prices', () => prices.close())
  await prices.start()

  const simulatorSocket = join(storage.socketDirectory, 'sim.sock')
  const simulator = await startSimulator({
    listen: { socketPath: simulatorSocket },
    settings: { requireKey: false },
    clock,
    random,
    log,
  })
  closers.add('simulator', () => simulator.close())

  const deployment = vault.deploymentId
  const streams = redis === null ? null : { client: redis.client, deployment, epoch: () => budgets.epoch }
  const records = openRecords(config, storage, streams, { clock, random, log })
  const budgets = new BudgetEngine({
    pool: storage.database.pool,
    heartbeatPool: storage.heartbeat.pool,
    clock,
    random,
    log,
    alone: storage.alone,
    times: budgetTimes,
    beforeSweep: records.beforeSweep,
  })
  // After the recorder: what has settled must be written before its leases go back.
  closers.add('budgets', () => budgets.close(clock.monotonic() + leasesDeadlineMs))
  await budgets.start()

  const instances = () => budgets.processes
  const limits = openLimits(redis, storage, { deployment, instances, clock, random, log })
  closers.add('limits', () => limits.close())

  const tokenCounter = new TokenCounter({ log })
  closers.add('token counter', () => tokenCounter.close())

  closers.add('records', () => records.close(clock.monotonic() + recordsDeadlineMs))
  const bodies = new BodyQueue({
    vault,
    pool: storage.database.pool,
    mostBytes: mostCapturedBytes,
    clock,
    log,
  })
  closers.add('bodies', () => bodies.close(clock.monotonic() + bodiesDeadlineMs))
  records.start()

  const metrics = new Metrics({ budgets, verifier: vault.verifier, clock })
  closers.add('metrics', async () => metrics.close())
  const tracing = config.tracing === null ? null : openTracing(config.tracing, { clock, random, log })
  if (tracing !== null) closers.add('traces', () => tracing.close(clock.monotonic() + tracesDeadlineMs))

  const inFlight = new InFlight()
  const compromisedKeys = new CompromisedKeys({
    inFlight,
    changes: vault.changes,
    find: (keys) => vault.proxyKeys.compromised(keys),
    log,
  })
  closers.add('compromised keys', () => compromisedKeys.close())
  compromisedKeys.start()
  const upstreams = new Upstreams({
    allowed: config.allowUpstreamCidrs,
    connections: config.upstreamConnections,
    connectTimeoutMs: config.connectTimeoutMs,
    headersTimeoutMs: config.headersTimeoutMs,
    idleTimeoutMs: config.idleTimeoutMs,
    simulatorSocket,
  })
  closers.add('upstreams', async () => {
    await upstreams.close()
    // Requests that were cut come to their records now, before the recorder closes.
    await inFlight.drain(recordsDeadlineMs)
  })

  const ports: ProxyPorts & HolderPorts = {
    verifier: metrics.verifier,
    vault,
    upstreams,
    recorder: records.recorder,
    bodies,
    observer: metrics.observer,
    tracer: tracing?.tracer ?? null,
    budgets: metrics.budgets,
    tokenCounter,
    prices,
    keyViews: new KeyViews({
      database: storage.database.kysely,
      clock,
      idle: (budget) => budgets.idle(budget),
    }),
    limiter: limits.limiter,
    segments: new Segments(clock),
    clock,
    random,
    log,
    viaName: viaName(vault.deploymentId),
    totalTimeoutMs: config.totalTimeoutMs,
    read: {
      maxJsonBytes: config.maxJsonBytes,
      idleTimeoutMs: config.idleTimeoutMs,
    },
    buffered: new BufferedBytes(config.maxBufferedBytes, config.maxJsonBytes),
    inFlight,
    trustedProxies: config.trustedProxies,
    corsOrigins: config.corsOrigins,
  }
  let warm = false
  const readiness = (): Readiness =>
    inFlight.draining ? 'draining' : vault.sealed ? 'sealed' : warm ? 'ready' : 'starting'

  const health = () => ({ status: readiness(), mode: storage.mode })
  const dataPlane = createDataPlane(ports, health, config.totalTimeoutMs)
  const dataUrl = await listen(dataPlane, config.host, config.port, 'LATCHKEY_HOST', 'LATCHKEY_PORT')
  closers.add('data plane', () => closeServer(dataPlane))

  const adminUrl = await openAdminPlane(config, closers, {
    startedAt,
    dataUrl,
    storage,
    vault,
    prices,
    records,
    bodies,
    budgets,
    limits,
    metrics,
    tracing,
    upstreams,
    ports,
    siblings,
    clock,
    random,
    log,
  })

  await warmUp(ports, storage.socketDirectory, clock).catch((error: unknown) => {
    // Cold, it serves all the same.
    log.warn('gateway.warm_up_failed', errorFields(error))
  })
  warm = true
  writeAnnouncement(storage.announcementDirectory, {
    pid: process.pid,
    dataUrl,
    adminUrl,
    version,
    startedAt: new Date(startedAt).toISOString(),
  })
  closers.add('announcement', async () => removeAnnouncement(storage.announcementDirectory, process.pid))
  closers.add('requests in flight', async () => {
    log.info('gateway.draining', { streams: inFlight.count, deadline: config.drainTimeoutMs })
    const cut = await inFlight.drain(config.drainTimeoutMs)
    if (cut > 0) log.warn('gateway.streams_cut', { streams: cut })
  })
  return { dataUrl, adminUrl, mode: storage.mode, vault, stop: () => closers.closeAll() }
}

function bellOf({ redis: setting }: Config, redis: RedisHandle | null, log: Log): Pick<VaultOptions, 'bell'> {
  if (setting === null || redis === null) return {}
  return { bell: (deployment) => redisBell(setting, redis, deployment, log) }
}

/** Postgres may be away when we stop: its records are worth a wait, but not a hung shutdown. */
const recordsDeadlineMs = 10_000
const bodiesDeadlineMs = 5_000
/** Bodies that wait to be sealed and written. Beyond that captures are skipped. */
const mostCapturedBytes = 64 * 2 ** 20
const leasesDeadlineMs = 5_000
const tracesDeadlineMs = 2_000
