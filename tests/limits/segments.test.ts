import { expect, test } from 'vitest'
import { InProcessRateLimiter } from '../../gateway/src/limits/in-process.ts'
import type { NamedLimit } from '../../gateway/src/limits/limit.ts'
import { Segments } from '../../gateway/src/limits/segments.ts'
import { SteppingClock } from '../support/stepping-clock.ts'

const perMinute: NamedLimit = { unit: 'requests', per: 60, limit: 5 }

function start() {
  const clock = new SteppingClock(0)
  return { clock, segments: new Segments(clock) }
}

test('a segment has one place, whichever quota a request names, and one for each unit and window', () => {
  const { segments } = start()
  const { id, limit } = segments.place('alice', 'a', perMinute)
  expect(limit).toBe(perMinute)
  expect(segments.place('alice', 'a', { ...perMinute, limit: 9 }).id).toBe(id)
  expect(segments.place('alice', 'b', perMinute).id).not.toBe(id)
  expect(segments.place('bob', 'a', perMinute).id).not.toBe(id)
  expect(segments.place('alice', 'a', { ...perMinute, unit: 'tokens' }).id).not.toBe(id)
  expect(segments.place('alice', 'a', { ...perMinute, per: 61 }).id).not.toBe(id)
})

test('a key has a thousand segments, and the rest share one that is never wider', () => {
  const { segments } = start()
  const ids = new Set<string>()
  for (let index = 0; index < 1_000; index++) ids.add(segments.place('alice', `${index}`, perMinute).id)
  expect(ids.size).toBe(1_000)
  const shared = segments.place('alice', 'one more', perMinute)
  expect(ids).not.toContain(shared.id)
  expect(segments.place('alice', 'another', perMinute)).toEqual(shared)
  expect(shared.limit).toEqual({ ...perMinute, per: 64 })
  expect(ids).toContain(segments.place('alice', '7', perMinute).id)
  expect(segments.place('bob', 'a', perMinute).limit).toBe(perMinute)
})

test('windows can’t make more of the rest than there are powers of two', () => {
  const { segments } = start()
  for (let index = 0; index < 1_000; index++) segments.place('alice', `${index}`, perMinute)
  const shared = new Set<string>()
  for (let per = 1; per <= 86_400; per += 7) {
    const { id, limit } = segments.place('alice', 'x', { ...perMinute, per })
    shared.add(id)
    expect(limit.per).toBeGreaterThanOrEqual(per)
    expect(limit.per).toBeLessThanOrEqual(86_400)
  }
  expect(shared.size).toBeLessThanOrEqual(18)
})

test('a segment that nobody has named for its window makes room for another', () => {
  const { segments, clock } = start()
  for (let index = 0; index < 1_000; index++) segments.place('alice', `${index}`, perMinute)
  clock.step(59_999)
  expect(segments.place('alice', 'new', perMinute).limit.per).toBe(64)
  clock.step(1)
  for (let index = 0; index < 600; index++) segments.place('bob', 'a', perMinute)
  expect(segments.place('alice', 'new', perMinute).limit).toBe(perMinute)
  expect(segments.size).toBe(2)
})

test('memory is bounded, however many keys name segments', () => {
  const { segments } = start()
  for (let key = 0; key < 120; key++)
    for (let index = 0; index < 1_000; index++) segments.place(`key ${key}`, `${index}`, perMinute)
  expect(segments.size).toBe(100_000)
})

test('a segment in debt keeps its place until that has refilled, even where it is named again meanwhile', () => {
  const { segments, clock } = start()
  const indebted = segments.place('alice', 'a', perMinute)
  segments.use(indebted, 50)
  segments.place('alice', 'a', perMinute)
  for (let index = 1; index < 1_000; index++) segments.place('alice', `${index}`, perMinute)
  clock.step(10 * 60_000)
  for (let index = 0; index < 600; index++) segments.place('bob', 'a', perMinute)
  expect(segments.size).toBe(2)
  clock.step(60_000)
  for (let index = 0; index < 600; index++) segments.place('bob', 'a', perMinute)
  expect(segments.size).toBe(1)
})

test('however much requests take of limits of their own, what they count in stays bounded', () => {
  const { segments, clock } = start()
  const limiter = new InProcessRateLimiter(clock)
  const perSecond: NamedLimit = { unit: 'tokens', per: 1, limit: 1 }
  const tokens = 10_000_000
  for (let round = 0; round < 20; round++, clock.step(1_100)) {
    for (let index = 0; index < 500; index++) {
      const segment = segments.place('alice', `${round} ${index}`, perSecond)
      const scope = { organizationId: 'one', kind: 'policy', id: segment.id } as const
      const decision = limiter.take([{ scope, limits: [segment.limit] }], tokens)
      if (decision.kind === 'refused') continue
      decision.grant.settle(null)
      segments.use(segment, tokens)
    }
  }
  // A thousand apart, and the rest.
  expect(limiter.size).toBe(1_001)
})
