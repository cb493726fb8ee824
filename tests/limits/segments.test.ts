import { expect, test } from 'vitest'
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
