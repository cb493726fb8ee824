import { errorFields, type Log } from '@latchkey/shared'
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import type { RedisAddress, RedisConnection } from '../redis-url.ts'

export interface ConnectRedisOptions {
  /** The authority (PEM) that signed the certificates of servers and sentinels; null: those that Node knows. */
  readonly authority: string | null
  /** Each command fails after so many milliseconds without an answer. Null for a connection whose commands block. */
  readonly commandTimeoutMs: number | null
  /** Shown in `CLIENT LIST`. */
  readonly connectionName: string
}

export interface RedisHandle {
  readonly client: Redis | Cluster
  /** Resolves when commands can be sent, or after so many milliseconds; true: they can. */
  ready(deadlineMs: number): Promise<boolean>
  close(): void
}

const connectTimeoutMs = 2_000
/** A connection on which an answer is due for longer is given up: a machine that is gone says no goodbye. */
const silenceTimeoutMs = 3_000
const mostRetryDelayMs = 500
const keepAliveDelayMs = 10_000
/** Where a node is asked again while a cluster elects another. */
const mostRedirections = 5

/**
 * Connects to a Redis in the background, for as long as it takes, and again when the connection is lost. Nothing
 * waits for that: a command that can't be sent now, or was on its way when the connection broke, rejects at once and is
 * never sent twice. Logs when it is connected and when it is lost, once each.
 */
export function connectRedis(
  connection: RedisConnection,
  options: ConnectRedisOptions,
  log: Log,
): RedisHandle {
  const client = open(connection, options)
  let closed = false
  let isLost = false
  const lost = (error: unknown) => {
    if (closed || isLost) return
    isLost = true
    log.warn('redis.connection_lost', errorFields(error))
  }
  client.on('error', lost)
  client.on('close', () => lost(new Error('the connection was closed')))
  client.on('ready', () => {
    isLost = false
    log.info('redis.connected', { name: options.connectionName })
  })
  return {
    client,
    ready: (deadlineMs) => untilReady(client, deadlineMs),
    close() {
      closed = true
      client.disconnect()
    },
  }
}

function open(connection: RedisConnection, options: ConnectRedisOptions): Redis | Cluster {
  const { place, tls } = connection
  const tlsOptions = options.authority === null ? {} : { ca: options.authority }
  const common = { ...commonOptions(connection, options), ...(tls ? { tls: tlsOptions } : {}) }
  switch (place.kind) {
    case 'single':
      return new Redis({ ...common, ...place.address, db: place.database, retryStrategy, ...notQueued })
    case 'sentinel': {
      const { user, password } = place.sentinelCredentials
      return new Redis({
        ...common,
        sentinels: [...place.sentinels],
        name: place.master,
        db: place.database,
        ...(user === null ? {} : { sentinelUsername: user }),
        ...(password === null ? {} : { sentinelPassword: password.reveal() }),
        ...(tls ? { sentinelTLS: tlsOptions, enableTLSForSentinelMode: true } : {}),
        sentinelRetryStrategy: retryStrategy,
        sentinelCommandTimeout: connectTimeoutMs,
        retryStrategy,
        ...notQueued,
      })
    }
    case 'cluster':
      return new Cluster(nodesOf(place.nodes), {
        redisOptions: common,
        clusterRetryStrategy: retryStrategy,
        clusterNodeRetryStrategy: retryStrategy,
        maxRedirections: mostRedirections,
        ...(tls ? { dnsLookup: keepName } : {}),
        ...notQueued,
      })
    default:
      return place satisfies never
  }
}

const notQueued = { enableOfflineQueue: false } as const

function commonOptions(
  { credentials }: RedisConnection,
  { commandTimeoutMs, connectionName }: ConnectRedisOptions,
) {
  const { user, password } = credentials
  return {
    ...(user === null ? {} : { username: user }),
    ...(password === null ? {} : { password: password.reveal() }),
    ...(commandTimeoutMs === null
      ? {}
      : { commandTimeout: commandTimeoutMs, socketTimeout: silenceTimeoutMs }),
    connectionName,
    connectTimeout: connectTimeoutMs,
    keepAlive: keepAliveDelayMs,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: mostRetryDelayMs,
    // A master that became a replica: its name, or its sentinels, lead to the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  } satisfies RedisOptions
}

function retryStrategy(attempts: number): number {
  return Math.min(50 * attempts, mostRetryDelayMs)
}

function nodesOf(addresses: readonly RedisAddress[]): { host: string; port: number }[] {
  return addresses.map(({ host, port }) => ({ host, port }))
}

/** Certificates are issued to names, which a cluster would otherwise replace by addresses. */
const keepName: NonNullable<ClusterOptions['dnsLookup']> = (host, callback) => callback(null, host)

function untilReady(client: Redis | Cluster, deadlineMs: number): Promise<boolean> {
  if (client.status === 'ready') return Promise.resolve(true)
  return new Promise((resolve) => {
    const done = (isReady: boolean) => {
      clearTimeout(timer)
      client.off('ready', onReady)
      resolve(isReady)
    }
    const onReady = () => done(true)
    const timer = setTimeout(() => done(false), deadlineMs)
    client.once('ready', onReady)
  })
}
