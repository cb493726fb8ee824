import { randomBytes } from 'node:crypto'
import { type Clock, Secret, systemClock, systemRandom } from '@latchkey/shared'
import { onTestFinished } from 'vitest'
import type { LimitAsk, LimitTaken } from '../../gateway/src/limits/rate-limiter.ts'
import type { RedisClient } from '../../gateway/src/limits/redis/call.ts'
import { RedisRateLimiter } from '../../gateway/src/limits/redis/redis-rate-limiter.ts'
import { parseRedisUrl } from '../../gateway/src/redis-url.ts'
import { connectRedis, type RedisHandle } from '../../gateway/src/runtime/redis.ts'
import { type RecordedLog, recordLog } from '../support/recorded-log.ts'
import { SteppingClock } from '../support/stepping-clock.ts'

/** A connection as a gateway makes it. Whoever asks for it closes it. */
export async function connect(url: string): Promise<RedisHandle> {
  const options = { authority: null, commandTimeoutMs: 10_000, connectionName: 'test' }
  const handle = connectRedis(parseRedisUrl(new Secret(url)), options, recordLog())
  if (!(await handle.ready(20_000))) throw new Error('Redis does not answer')
  return handle
}

/** Keeps a test's limits apart from those of others on the same Redis. */
export function newNamespace(): string {
  return randomBytes(6).toString('hex')
}

interface StartOptions {
  readonly client: RedisClient
  readonly namespace: string
  readonly instances: number
}

/** For `deadlineMs` where no outage is meant: a busy machine must not look like one. */
export const patientMs = 20_000

/** In the future, so that nothing that expires at a moment of it does so while a test runs. */
export function futureClock(): SteppingClock {
  return new SteppingClock(Date.parse('2200-01-01T00:00:00Z'))
}

/** A limiter whose time, and Redis', is `clock`. Nothing but the steps of it passes time. */
export function startStepped(
  { client, namespace, instances }: StartOptions,
  clock: SteppingClock,
): RedisRateLimiter {
  const redisTime = () => Math.floor(clock.now())
  return close(
    new RedisRateLimiter({
      ...surroundings(clock),
      client,
      namespace,
      instances: () => instances,
      deadlineMs: patientMs,
      redisTime,
    }),
  )
}

/** A limiter as a gateway has it, but for a deadline that is given, and its log. */
export function start({
  client,
  namespace,
  instances,
  ...deadline
}: StartOptions & { readonly deadlineMs?: number }): {
  readonly limiter: RedisRateLimiter
  readonly log: RecordedLog
} {
  const log = recordLog()
  const limiter = new RedisRateLimiter({
    ...surroundings(systemClock),
    client,
    namespace,
    instances: () => instances,
    log,
    ...deadline,
  })
  return { limiter: close(limiter), log }
}

function surroundings(clock: Clock) {
  return { clock, random: systemRandom, log: recordLog() }
}

function close(limiter: RedisRateLimiter): RedisRateLimiter {
  onTestFinished(() => limiter.close())
  return limiter
}

/** What was granted, or an error. */
export async function taken(
  limiter: RedisRateLimiter,
  asks: readonly LimitAsk[],
  tokens = 0,
): Promise<LimitTaken> {
  const decision = await limiter.take(asks, tokens)
  if (decision.kind === 'taken') return decision
  throw new Error(`refused by ${JSON.stringify(decision.limit)} for ${decision.retryAfterMs} ms`)
}

/** Takes one by one until one is refused, or `most` are taken. Each is sent and ends at once. */
export async function takeUntilRefused(
  limiter: RedisRateLimiter,
  asks: readonly LimitAsk[],
  most = 1_000_000,
): Promise<number> {
  for (let count = 0; count < most; count++) {
    const decision = await limiter.take(asks, 0)
    if (decision.kind === 'refused') return count
    decision.grant.settle(0)
  }
  return most
}
