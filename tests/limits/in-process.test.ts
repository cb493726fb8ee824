import { expect, test } from 'vitest'
import { InProcessRateLimiter } from '../../gateway/src/limits/in-process.ts'
import type { LimitAsk } from '../../gateway/src/limits/rate-limiter.ts'
import { rateLimiterContract, rpm, tpm } from '../contracts/rate-limiter.ts'
import { SteppingClock } from '../support/stepping-clock.ts'

function start() {
  const clock = new SteppingClock()
  return {
    limiter: new InProcessRateLimiter(clock),
    pass: (milliseconds: number) => clock.step(milliseconds),
  }
}

rateLimiterContract('in-process', start)

function key(id: number, ...limits: LimitAsk['limits']): LimitAsk {
  return { scope: { organizationId: 'school', kind: 'key', id: String(id) }, limits }
}

test('300,000 keys that send one request an hour are remembered only while they refill', () => {
  const { limiter, pass } = start()
  let most = 0
  for (let sent = 0; sent < 400_000; sent++) {
    const decision = limiter.take([key(sent % 300_000, rpm(60), tpm(1000))], 10)
    if (decision.kind === 'taken') decision.grant.settle(5)
    most = Math.max(most, limiter.size)
    pass(12)
  }
  // Each refills within a second, in which 84 others come.
  expect(most).toBeLessThan(500)
})

test('a flood of keys is forgotten by the requests that follow it, a few at each', () => {
  const { limiter, pass } = start()
  for (let id = 0; id < 10_000; id++) {
    const decision = limiter.take([key(id, rpm(1))], 0)
    if (decision.kind === 'taken') decision.grant.settle(0)
  }
  expect(limiter.size).toBe(10_000)
  pass(60_000)
  for (let sent = 0; sent < 6000; sent++) limiter.take([key(0, rpm(10_000))], 0)
  expect(limiter.size).toBe(1)
})

test('a scope with a request in flight is remembered, so that what it did use still counts', () => {
  const { limiter, pass } = start()
  const long = limiter.take([key(0, tpm(1000))], 10)
  pass(3_600_000)
  for (let id = 1; id < 1000; id++) limiter.take([key(id, tpm(1000))], 0)
  if (long.kind === 'taken') long.grant.settle(2010)
  expect(limiter.take([key(0, tpm(1000))], 1)).toMatchObject({ kind: 'refused', retryAfterMs: 60_060 })
})

test('a wall clock that is set moves no limit', () => {
  const clock = new SteppingClock()
  const limiter = new InProcessRateLimiter(clock)
  limiter.take([key(0, rpm(1))], 0)
  clock.stepWall(86_400_000)
  expect(limiter.take([key(0, rpm(1))], 0).kind).toBe('refused')
  clock.stepWall(-172_800_000)
  clock.step(60_000)
  expect(limiter.take([key(0, rpm(1))], 0).kind).toBe('taken')
})

test('it decides at once', () => {
  expect(start().limiter.take([key(0, rpm(1))], 0)).not.toBeInstanceOf(Promise)
})
