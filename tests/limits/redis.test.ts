import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { RedisRateLimiter } from '../../gateway/src/limits/redis/redis-rate-limiter.ts'
import type { RedisHandle } from '../../gateway/src/runtime/redis.ts'
import {
  groupScope,
  keyScope,
  ofGroup,
  ofKey,
  rateLimiterContract,
  rpm,
  slots,
  tpm,
} from '../contracts/rate-limiter.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import {
  connect,
  futureClock,
  newNamespace,
  patientMs,
  start,
  startStepped,
  taken,
  takeUntilRefused,
} from './redis-limiters.ts'

let redis: TestRedis
let handle: RedisHandle
let other: RedisHandle
beforeAll(async () => {
  redis = await startRedis()
  handle = await connect(redis.url)
  other = await connect(redis.url)
})
afterAll(async () => {
  handle.close()
  other.close()
  await redis.discard()
})

/** Two processes with one Redis and one time. */
function startTwo(instances = 2) {
  const clock = futureClock()
  const namespace = newNamespace()
  const options = { client: handle.client, namespace, instances }
  const limiters = [startStepped(options, clock), startStepped(options, clock)] as const
  return { limiters, clock, namespace }
}

async function keysOf(namespace: string): Promise<readonly string[]> {
  const keys = await redis.command('KEYS', `${namespace}:*`)
  return Array.isArray(keys) ? keys.map(String).toSorted() : []
}

// With so many instances nothing is taken in advance, so each decision is Redis' own.
rateLimiterContract('Redis', () => {
  const clock = futureClock()
  const namespace = newNamespace()
  const limiter = startStepped({ client: handle.client, namespace, instances: 1_000_000_000 }, clock)
  onTestFinished(() => expect(limiter.fallbacks).toBe(0))
  return {
    limiter,
    async pass(milliseconds) {
      await limiter.refresh()
      clock.step(milliseconds)
      await limiter.refresh()
    },
  }
})

describe('several processes on one Redis', () => {
  test('share every limit', async () => {
    const { limiters } = startTwo()
    const asks = [ofKey(rpm(10), slots(10)), ofGroup(tpm(100))]
    for (let sent = 0; sent < 10; sent++) await taken(limiters[sent % 2 === 0 ? 0 : 1], asks, 5)
    for (const limiter of limiters)
      expect(await limiter.take(asks, 5)).toMatchObject({ kind: 'refused', retryAfterMs: 6000 })
  })

  test('a slot that comes free is free for all of them at once', async () => {
    const { limiters } = startTwo()
    const asks = [ofKey(slots(1))]
    for (let sent = 0; sent < 50; sent++) {
      const { grant } = await taken(limiters[sent % 2 === 0 ? 0 : 1], asks)
      grant.settle(0)
    }
  })

  test('a slot of a process that has died comes free when its lease ends', async () => {
    const { limiters, clock } = startTwo()
    const [dead, alive] = limiters
    await taken(dead, [ofKey(slots(2))])
    await taken(alive, [ofKey(slots(2))])
    clock.step(10_000)
    await alive.refresh()
    clock.step(4_999)
    expect((await alive.take([ofKey(slots(2))], 0)).kind).toBe('refused')
    clock.step(1)
    const { state } = await taken(alive, [ofKey(slots(2))])
    expect(state).toMatchObject([{ remaining: 0 }])
  })

  test('a slot that Redis has lost is there again when its process renews it', async () => {
    const { limiters } = startTwo()
    const [first, second] = limiters
    const { grant } = await taken(first, [ofKey(slots(1))])
    await redis.command('FLUSHALL')
    await first.refresh()
    expect((await second.take([ofKey(slots(1))], 0)).kind).toBe('refused')
    grant.settle(0)
    await taken(second, [ofKey(slots(1))])
  })

  test('10,000 requests by two of them: a key with 100 a minute gets 100 through, and what refills meanwhile', async () => {
    const namespace = newNamespace()
    const options = { namespace, instances: 2, deadlineMs: patientMs }
    const processes = [handle, other].map(({ client }) => start({ client, ...options }).limiter)
    const began = performance.now()
    let admitted = 0
    async function send(limiter: RedisRateLimiter, requests: number): Promise<void> {
      for (let sent = 0; sent < requests; sent++)
        if ((await limiter.take([ofKey(rpm(100))], 0)).kind === 'taken') admitted += 1
    }
    const clients = Array.from({ length: 50 }, () => processes.map((limiter) => send(limiter, 100)))
    await Promise.all(clients.flat())
    expect(admitted).toBeGreaterThanOrEqual(100)
    expect(admitted).toBeLessThanOrEqual(100 + ((performance.now() - began) * 100) / 60_000)
    for (const { fallbacks } of processes) expect(fallbacks).toBe(0)
  })
})

describe('a busy key', () => {
  const busy = [ofKey(rpm(60_000)), ofGroup(rpm(600_000))]

  test('asks Redis for a small part of its requests', async () => {
    const { limiters, clock } = startTwo()
    for (let sent = 0; sent < 3000; sent++) {
      ;(await taken(limiters[0], busy)).grant.settle(0)
      clock.step(1)
    }
    expect(limiters[0].calls).toBeLessThan(300)
  })

  test('decides at once while something is left of what it took in advance', async () => {
    const { limiters } = startTwo()
    for (let sent = 0; sent < 200; sent++) await taken(limiters[0], busy)
    expect(limiters[0].take(busy, 0)).not.toBeInstanceOf(Promise)
  })

  test('is told the same remainder by whoever decides', async () => {
    const { limiters } = startTwo()
    for (let sent = 1; sent <= 500; sent++) {
      const { state } = await taken(limiters[0], busy)
      expect(state.map(({ remaining }) => remaining)).toEqual([60_000 - sent, 600_000 - sent])
    }
  })

  test('gives back after a second what it took in advance and did not use', async () => {
    const { limiters, clock } = startTwo()
    const [first, second] = limiters
    for (let sent = 0; sent < 200; sent++) await taken(first, busy)
    const { state } = await taken(second, busy)
    expect(state[0]?.remaining).toBeLessThan(60_000 - 201)
    clock.step(1000)
    await first.refresh()
    const after = await taken(second, [ofKey(rpm(60_000))])
    expect(after.state[0]?.remaining).toBeGreaterThanOrEqual(60_000 - 202)
    expect(limiters[0].take(busy, 0)).toBeInstanceOf(Promise)
  })

  test('has in advance no more than a twentieth of its limit over all processes', async () => {
    const { limiters, namespace } = startTwo()
    const asks = [ofKey(rpm(1000))]
    let most = 0
    for (let sent = 0; sent < 400; sent++) {
      ;(await taken(limiters[sent % 2 === 0 ? 0 : 1], asks)).grant.settle(0)
      const [key = ''] = await keysOf(namespace)
      const [, , , , , current, earlier] = String(await redis.command('GET', key))
        .split(' ')
        .map(Number)
      most = Math.max(most, (current ?? 0) + (earlier ?? 0))
    }
    expect(most).toBeGreaterThan(10)
    expect(most).toBeLessThanOrEqual(50)
  })

  test('keeps what it has in advance of its group when other keys of the group ask', async () => {
    const { limiters, clock } = startTwo()
    for (let sent = 0; sent < 3000; sent++) {
      ;(await taken(limiters[0], busy)).grant.settle(0)
      if (sent % 10 === 0) {
        const quiet = { scope: { ...keyScope, id: `quiet${sent}` }, limits: [rpm(60)] }
        ;(await taken(limiters[0], [quiet, ofGroup(rpm(600_000))])).grant.settle(0)
      }
      clock.step(1)
    }
    expect(limiters[0].calls).toBeLessThan(300 + 200)
  })

  test('does not keep another key of its group from what it has in advance', async () => {
    const { limiters } = startTwo(1)
    const [limiter] = limiters
    const group = ofGroup(rpm(1000))
    for (let sent = 0; sent < 500; sent++) (await taken(limiter, [ofKey(rpm(60_000)), group])).grant.settle(0)
    const another = [{ scope: { ...keyScope, id: 'bob' }, limits: [rpm(10)] }, { ...group }]
    for (let sent = 0; sent < 9; sent++) (await taken(limiter, another)).grant.settle(0)
    expect(
      await takeUntilRefused(limiter, [{ scope: { ...keyScope, id: 'eve' }, limits: [slots(9)] }, group]),
    ).toBe(491)
  })

  test('is not refilled for what a process has taken in advance and not used yet', async () => {
    const { limiters, clock } = startTwo()
    const [first, second] = limiters
    const asks = [ofKey(rpm(6000))]
    for (let sent = 0; sent < 60; sent++) (await taken(first, asks)).grant.settle(0)
    expect(first.calls).toBeLessThan(60)
    clock.step(999)
    const admitted = (await takeUntilRefused(second, asks)) + (await takeUntilRefused(first, asks))
    expect(admitted).toBeGreaterThan(5900)
    expect(admitted).toBeLessThanOrEqual(6000)
  })

  test('gives its chunk back when its limit is changed', async () => {
    const { limiters } = startTwo()
    for (let sent = 0; sent < 200; sent++) await taken(limiters[0], busy)
    const { state } = await taken(limiters[0], [ofKey(rpm(120_000))])
    expect(state[0]?.remaining).toBe(120_000 - 401)
  })

  test('with a limit on slots asks for each request', async () => {
    const { limiters } = startTwo()
    for (let sent = 0; sent < 100; sent++) await taken(limiters[0], [ofKey(rpm(60_000), slots(1000))])
    expect(limiters[0].calls).toBe(100)
  })

  test('of a small limit asks for each request', async () => {
    const { limiters } = startTwo()
    for (let sent = 0; sent < 50; sent++) await taken(limiters[0], [ofKey(rpm(60))])
    expect(limiters[0].calls).toBe(50)
  })

  test('is charged for tokens that it used beyond those that it took', async () => {
    const { limiters } = startTwo()
    const asks = [ofKey(tpm(1_000_000))]
    for (let sent = 0; sent < 100; sent++) (await taken(limiters[0], asks, 100)).grant.settle(1100)
    await limiters[0].refresh()
    const { state } = await taken(limiters[1], asks, 0)
    expect(state[0]?.remaining).toBeLessThanOrEqual(1_000_000 - 110_000)
    await limiters[0].close()
    expect((await taken(limiters[1], asks, 0)).state[0]?.remaining).toBe(1_000_000 - 110_000)
  })

  test('of two processes no stretch of time admits more than a burst and what refills in it', async () => {
    let admitted = 0
    let calls = 0
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 100, max: 3000 }),
        fc.array(
          fc.record({
            process: fc.constantFrom(0 as const, 1 as const),
            requests: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(300, 10_000)),
            milliseconds: fc.oneof(fc.nat(300), fc.nat(3000), fc.nat(90_000)),
          }),
          { minLength: 3, maxLength: 20 },
        ),
        async (limit, steps) => {
          const { limiters, clock } = startTwo()
          const asks = [ofKey(rpm(limit))]
          const began = clock.now()
          // The least by which what was admitted until then falls behind what refilled until then.
          let least = 0
          let sum = 0
          for (const { process, requests, milliseconds } of steps) {
            const at = clock.now() - began
            least = Math.min(least, sum - (at * limit) / 60_000)
            const count = await takeUntilRefused(limiters[process], asks, requests)
            sum += count
            expect(sum - (at * limit) / 60_000 - least).toBeLessThanOrEqual(limit + 1e-6)
            clock.step(milliseconds)
          }
          admitted += sum
          calls += limiters[0].calls + limiters[1].calls
        },
      ),
      { numRuns: 60 },
    )
    expect(calls).toBeLessThan(admitted)
  })
})

describe('what is in Redis', () => {
  test('carries the organization as its hash tag, and no other keys are used', async () => {
    const { limiters, namespace } = startTwo()
    await taken(limiters[0], [ofKey(rpm(10), slots(1)), ofGroup(tpm(100))], 5)
    const { organizationId } = keyScope
    expect(await keysOf(namespace)).toEqual([
      `${namespace}:{${organizationId}}:group:${groupScope.id}:tokens:minute`,
      `${namespace}:{${organizationId}}:key:${keyScope.id}:requests:minute`,
      `${namespace}:{${organizationId}}:key:${keyScope.id}:slots`,
    ])
  })

  test('expires when it says nothing any more', async () => {
    const { limiters, namespace, clock } = startTwo()
    await taken(limiters[0], [ofKey(rpm(60), slots(1))])
    const [bucket = '', slotsKey = ''] = await keysOf(namespace)
    const left = async (key: string) => Number(await redis.command('PEXPIRETIME', key)) - clock.now()
    expect(await left(bucket)).toBe(1000)
    expect(await left(slotsKey)).toBe(15_000)
  })

  test('is gone once everything came back', async () => {
    const { limiters, namespace } = startTwo()
    const { grant } = await taken(limiters[0], [ofKey(rpm(60), slots(1))])
    grant.giveBack()
    await limiters[0].refresh()
    expect(await keysOf(namespace)).toEqual([])
  })

  test('goes by the clock of Redis', async () => {
    const options = { namespace: newNamespace(), instances: 1, deadlineMs: patientMs }
    const { limiter } = start({ client: handle.client, ...options })
    const asks = [ofKey(rpm(600))]
    let decision = await limiter.take(asks, 0)
    for (let sent = 1; sent < 2000 && decision.kind === 'taken'; sent++) {
      decision.grant.settle(0)
      decision = await limiter.take(asks, 0)
    }
    if (decision.kind === 'taken') throw new Error('taken')
    const { retryAfterMs } = decision
    expect(retryAfterMs).toBeLessThanOrEqual(100)
    await new Promise((resolve) => setTimeout(resolve, retryAfterMs + 5))
    await taken(limiter, asks)
  })

  test('refills, and frees slots of the dead, where the clock of Redis is set back', async () => {
    const { limiters, clock } = startTwo()
    const [dead, alive] = limiters
    await taken(dead, [ofKey(slots(2))])
    await taken(alive, [ofKey(rpm(1), slots(2))])
    clock.stepWall(-86_400_000)
    await alive.refresh()
    expect((await alive.take([ofKey(rpm(1))], 0)).kind).toBe('refused')
    clock.step(60_000)
    await alive.refresh()
    expect((await taken(alive, [ofKey(rpm(1), slots(2))])).state).toMatchObject([{}, { remaining: 0 }])
  })
})

test('scopes are remembered only while they matter', async () => {
  const { limiters, clock } = startTwo()
  const [limiter] = limiters
  for (let id = 0; id < 500; id++) {
    const scope = { ...keyScope, id: String(id) }
    ;(await taken(limiter, [{ scope, limits: [rpm(60), tpm(1000)] }], 10)).grant.settle(5)
  }
  expect(limiter.size).toBe(500)
  await limiter.refresh()
  clock.step(2000)
  for (let sent = 0; sent < 300; sent++) await taken(limiter, [ofKey(rpm(1_000_000))])
  expect(limiter.size).toBe(1)
})
