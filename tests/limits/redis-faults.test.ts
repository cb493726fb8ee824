import { expect, onTestFinished, test } from 'vitest'
import { ofKey, rpm, slots, tpm } from '../contracts/rate-limiter.ts'
import type { RecordedLog } from '../support/recorded-log.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { connect, newNamespace, patientMs, start, taken, takeUntilRefused } from './redis-limiters.ts'

/** A Redis, and one of two instances that share limits on it. */
async function startOne(deadline: { readonly deadlineMs?: number } = {}) {
  const redis = await startRedis()
  onTestFinished(() => redis.discard())
  const handle = await connect(redis.url)
  onTestFinished(() => handle.close())
  return { redis, ...start({ client: handle.client, namespace: newNamespace(), instances: 2, ...deadline }) }
}

function events(log: RecordedLog): readonly string[] {
  return log.events
    .map(({ event }) => event)
    .filter((event) => event.startsWith('limits.f') || event.startsWith('limits.r'))
}

/** What takes Redis away, and what brings it back. */
const faults: readonly {
  readonly title: string
  readonly begin: (redis: TestRedis) => unknown
  readonly end: (redis: TestRedis) => unknown
}[] = [
  { title: 'killed', begin: (redis) => redis.kill(), end: (redis) => redis.start() },
  { title: 'frozen', begin: (redis) => redis.freeze(), end: (redis) => redis.thaw() },
  {
    title: 'paused for 5 s',
    begin: (redis) => redis.command('CLIENT', 'PAUSE', '5000', 'ALL'),
    // It is answered once the pause is over.
    end: (redis) => redis.command('PING'),
  },
  {
    title: 'out of memory, and evicts nothing',
    begin: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
    end: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
  },
  {
    title: 'a replica that takes no writes',
    begin: (redis) => redis.command('REPLICAOF', '127.0.0.1', '1'),
    end: (redis) => redis.command('REPLICAOF', 'NO', 'ONE'),
  },
]

test.each(faults)(
  'while Redis is $title each process admits its share, and within 5 s after all share again',
  async ({ begin, end }) => {
    const { redis, limiter, log } = await startOne()
    const asks = [ofKey(rpm(100))]
    ;(await taken(limiter, asks)).grant.settle(0)
    const restored = log.next('limits.restored')
    await begin(redis)
    const began = performance.now()
    const admitted = await takeUntilRefused(limiter, asks)
    expect(admitted).toBeGreaterThanOrEqual(50)
    expect(admitted).toBeLessThanOrEqual(50 + ((performance.now() - began) * 50) / 60_000)
    expect(await limiter.take(asks, 0)).toMatchObject({ kind: 'refused', limit: rpm(100) })
    expect(limiter).toMatchObject({ fallbacks: 1 })
    expect(limiter.decidedLocally).toBeGreaterThanOrEqual(52)
    await end(redis)
    const ended = performance.now()
    await restored
    expect(performance.now() - ended).toBeLessThan(5000)
    expect(events(log)).toEqual(['limits.fallback', 'limits.restored'])
    const decided = limiter.decidedLocally
    await taken(limiter, asks)
    expect(limiter.decidedLocally).toBe(decided)
  },
)

test('a request does not wait for a Redis that hangs longer than a quarter of a second and a bit', async () => {
  const { redis, limiter } = await startOne()
  await taken(limiter, [ofKey(rpm(100))])
  redis.freeze()
  const began = performance.now()
  await Promise.all(Array.from({ length: 20 }, () => limiter.take([ofKey(rpm(100))], 0)))
  // One after the other they would take five seconds, and the client itself waits for ten.
  expect(performance.now() - began).toBeLessThan(5000)
  // From then on nobody waits at all.
  expect(limiter.take([ofKey(rpm(100))], 0)).not.toBeInstanceOf(Promise)
})

test('a busy key does not use what it took in advance once Redis is away', async () => {
  const { redis, limiter, log } = await startOne()
  const asks = [ofKey(rpm(1000))]
  for (let sent = 0; sent < 200; sent++) (await taken(limiter, asks)).grant.settle(0)
  const away = log.next('limits.fallback')
  await redis.kill()
  // Another key finds out.
  await limiter.take([{ ...ofKey(rpm(100)), scope: { organizationId: 'school', kind: 'key', id: 'bob' } }], 0)
  await away
  const began = performance.now()
  expect(await takeUntilRefused(limiter, asks)).toBeLessThanOrEqual(
    500 + ((performance.now() - began) * 500) / 60_000,
  )
})

test('slots in flight are counted again after Redis came back empty', async () => {
  const { redis, limiter, log } = await startOne()
  const asks = [ofKey(slots(2))]
  const { grant } = await taken(limiter, asks)
  await redis.kill()
  await limiter.take(asks, 0)
  const restored = log.next('limits.restored')
  await redis.start()
  await restored
  await taken(limiter, asks)
  expect((await limiter.take(asks, 0)).kind).toBe('refused')
  grant.settle(0)
  await taken(limiter, asks)
})

test('what ends while Redis is away is ended, and nothing throws', async () => {
  const { redis, limiter, log } = await startOne()
  const asks = [ofKey(rpm(100), tpm(1000), slots(5))]
  const grants = [await taken(limiter, asks, 10), await taken(limiter, asks, 10)].map(({ grant }) => grant)
  await redis.kill()
  grants[0]?.settle(5)
  const local = await taken(limiter, asks, 10)
  grants[1]?.giveBack()
  local.grant.settle(5)
  expect(() => local.grant.settle(5)).toThrow('ended twice')
  const restored = log.next('limits.restored')
  await redis.start()
  await restored
  expect((await taken(limiter, asks, 10)).state).toMatchObject([
    { remaining: 99 },
    { remaining: 990 },
    { remaining: 4 },
  ])
})

test('a Redis that forgets the script, or everything, is no outage', async () => {
  const { redis, limiter } = await startOne({ deadlineMs: patientMs })
  const asks = [ofKey({ unit: 'requests', per: 'day', limit: 1000 })]
  for (const forget of [['SCRIPT', 'FLUSH'], ['FLUSHALL'], ['SCRIPT', 'FLUSH', 'ASYNC']]) {
    await redis.command(...forget)
    await Promise.all(Array.from({ length: 20 }, () => taken(limiter, asks)))
  }
  expect(limiter).toMatchObject({ fallbacks: 0, decidedLocally: 0 })
  // Since it forgot all of them: 20, less the few that were had in advance then, 20 and 1.
  expect((await taken(limiter, asks)).state[0]?.remaining).toBeLessThanOrEqual(1000 - 41 + 5)
})

test('a process that is held up itself takes the answer that has come meanwhile', async () => {
  const { limiter } = await startOne()
  await taken(limiter, [ofKey(rpm(100))])
  const decision = limiter.take([ofKey(rpm(100))], 0)
  const until = performance.now() + 600
  while (performance.now() < until);
  expect(await decision).toMatchObject({ kind: 'taken', state: [{ remaining: 98 }] })
  expect(limiter.fallbacks).toBe(0)
})

test('a limit that is smaller than the number of instances still admits one request at each', async () => {
  const { redis, limiter } = await startOne()
  await redis.kill()
  expect((await limiter.take([ofKey(rpm(1))], 0)).kind).toBe('taken')
  expect(await limiter.take([ofKey(rpm(1))], 0)).toMatchObject({ kind: 'refused', limit: rpm(1) })
})
