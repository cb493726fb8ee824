// What rate limits in Redis cost: calls a request, for a busy key and for one that must ask each time, and how long one
// call keeps Redis busy. `npm run prove-limit-calls`
import { setTimeout as delay } from 'node:timers/promises'
import { createLog, Secret, type StoredLimit, systemClock, systemRandom } from '@latchkey/shared'
import type { LimitAsk } from '../../gateway/src/limits/rate-limiter.ts'
import { RedisRateLimiter } from '../../gateway/src/limits/redis/redis-rate-limiter.ts'
import { parseRedisUrl } from '../../gateway/src/redis-url.ts'
import { connectRedis } from '../../gateway/src/runtime/redis.ts'
import { startRedis } from '../support/redis.ts'

const requestsPerSecond = 1_000
const seconds = 5
const requestMs = 20
const mostCallsOfBusyKey = 0.1

const redis = await startRedis()
const log = createLog('warn')
const options = { authority: null, commandTimeoutMs: 1000, connectionName: 'proof' }
const { client, ready, close } = connectRedis(parseRedisUrl(new Secret(redis.url)), options, log)
if (!(await ready(5000))) throw new Error('Redis does not answer')

/** A key and its group, each with a limit on requests and on tokens, and these. */
function asksOf(...more: readonly StoredLimit[]): readonly LimitAsk[] {
  const limits: readonly StoredLimit[] = [
    { unit: 'requests', per: 'minute', limit: 500_000 },
    { unit: 'tokens', per: 'minute', limit: 1_000_000_000 },
    ...more,
  ]
  return [
    { scope: { organizationId: 'organization', kind: 'key', id: 'key' }, limits },
    { scope: { organizationId: 'organization', kind: 'group', id: 'group' }, limits: [...limits] },
  ]
}

async function request(limiter: RedisRateLimiter, asks: readonly LimitAsk[]): Promise<void> {
  const decision = await limiter.take(asks, 2_000)
  if (decision.kind !== 'taken') throw new Error(`refused by ${decision.limit.unit}`)
  await delay(requestMs)
  decision.grant.settle(500)
}

/** Calls a request, at an even rate. */
async function measure(namespace: string, asks: readonly LimitAsk[]): Promise<number> {
  const surroundings = { clock: systemClock, random: systemRandom, log }
  const limiter = new RedisRateLimiter({ ...surroundings, client, namespace, instances: () => 2 })
  await redis.command('CONFIG', 'RESETSTAT')
  const total = requestsPerSecond * seconds
  const began = performance.now()
  const running: Promise<void>[] = []
  while (running.length < total) {
    const due = Math.min(total, ((performance.now() - began) / 1000) * requestsPerSecond)
    while (running.length < due) running.push(request(limiter, asks))
    await delay(1)
  }
  await Promise.all(running)
  const { calls, fallbacks } = limiter
  await limiter.close()
  if (fallbacks > 0) throw new Error('Redis was away')
  const microseconds = /cmdstat_evalsha:.*usec_per_call=([0-9.]+)/.exec(
    String(await redis.command('INFO', 'commandstats')),
  )?.[1]
  process.stdout.write(
    `${namespace}: ${(calls / total).toFixed(3)} calls a request at ${requestsPerSecond} a second; a call takes Redis ${microseconds} µs\n`,
  )
  return calls / total
}

const busy = await measure('busy key', asksOf())
await measure('with slots', asksOf({ unit: 'concurrency', limit: 1_000 }))
close()
await redis.discard()
process.exitCode = busy <= mostCallsOfBusyKey ? 0 : 1
