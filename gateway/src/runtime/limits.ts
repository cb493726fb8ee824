import type { Clock, DeploymentId, Log, RandomBytes } from '@latchkey/shared'
import type { RedisSetting } from '../config.ts'
import { InProcessRateLimiter } from '../limits/in-process.ts'
import type { RateLimiter } from '../limits/rate-limiter.ts'
import { RedisRateLimiter } from '../limits/redis/redis-rate-limiter.ts'
import { readAuthority } from './authority-file.ts'
import type { RedisHandle } from './redis.ts'
import type { Storage } from './storage.ts'

/** The rate limiter of this process, and what it knows of itself. */
export interface Limits {
  readonly limiter: RateLimiter
  /** Null where nothing is shared that could fail. */
  figures(): { readonly fallbacks: number; readonly decidedLocally: number } | null
  close(): Promise<void>
}

export interface LimitsOptions {
  readonly deployment: DeploymentId
  /** How many processes are alive: they share what a Redis that is away can't count. */
  readonly instances: () => number
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}

// A limiter waits far less for its calls; this ends those of a connection that has gone silent.
const commandTimeoutMs = 1_000
/** How long the start waits for a Redis. Without it limits are counted here until it comes. */
const patienceMs = 2_000

/** Connects to the Redis that processes share. Throws `invalid_config` for a certificate authority that can't be read. */
export async function openRedis({ connection, authorityFile }: RedisSetting, log: Log): Promise<RedisHandle> {
  const authority = authorityFile === null ? null : readAuthority('LATCHKEY_REDIS_CA', authorityFile)
  // The client is 60 ms of a start, for those alone who have a Redis.
  const { connectRedis } = await import('./redis.ts')
  const redis = connectRedis(connection, { authority, commandTimeoutMs, connectionName: 'latchkey' }, log)
  if (!(await redis.ready(patienceMs))) log.warn('redis.awaited')
  return redis
}

/** Counts limits in a shared Redis where there is one, else in this process. */
export function openLimits(redis: RedisHandle | null, { alone }: Storage, options: LimitsOptions): Limits {
  const { deployment, instances, clock, random, log } = options
  if (redis === null) {
    if (!alone) log.warn('limits.per_process', { reason: 'there is no Redis' })
    return { limiter: new InProcessRateLimiter(clock), figures: () => null, close: async () => {} }
  }
  const { client } = redis
  const namespace = `latchkey:${deployment}`
  const limiter = new RedisRateLimiter({ client, namespace, instances, clock, random, log })
  return {
    limiter,
    figures: () => ({ fallbacks: limiter.fallbacks, decidedLocally: limiter.decidedLocally }),
    close: () => limiter.close(),
  }
}
