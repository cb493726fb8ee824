import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Bucket } from '../../gateway/src/limits/bucket.ts'
import { periodMs } from '../../gateway/src/limits/period.ts'
import { admittedUntil } from './saturate.ts'

test.each([
  { limit: 7, period: 'minute' },
  { limit: 59_999, period: 'minute' },
  { limit: 1_000_003, period: 'hour' },
  { limit: 10_000_019, period: 'day' },
] as const)('an hour with a look each millisecond makes no drift: $limit a $period', ({ limit, period }) => {
  const admitted = admittedUntil(new Bucket(limit, periodMs[period], 0), periodMs.hour)
  expect(admitted).toBe(limit + Math.floor((limit * periodMs.hour) / periodMs[period]))
})

test('it is exact for any limit, up to billions of tokens a day and a debt of years', () => {
  const limits = fc.integer({ min: 1, max: 1_000_000_000_000 })
  const looks = fc.array(fc.integer({ min: 0, max: 200_000_000 }), { maxLength: 20 })
  fc.assert(
    fc.property(
      limits,
      fc.constantFrom(...Object.values(periodMs)),
      fc.nat(1000),
      looks,
      (limit, period, times, gaps) => {
        const bucket = new Bucket(limit, period, 0)
        bucket.take(limit * times, 0)
        let used = BigInt(limit) * BigInt(times) * BigInt(period)
        let now = 0
        for (const gap of gaps) {
          now += gap
          const drained = BigInt(gap) * BigInt(limit)
          used = drained > used ? 0n : used - drained
          expect(bucket.isFull(now)).toBe(used === 0n)
          const whole = BigInt(limit) - (used + BigInt(period) - 1n) / BigInt(period)
          expect(bucket.remaining).toBe(whole < 0n ? 0 : Number(whole))
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test('what it refuses is admitted when it says, whatever the debt of years', () => {
  const amounts = fc.integer({ min: 1, max: 1_000_000_000_000 })
  fc.assert(
    fc.property(
      amounts,
      fc.constantFrom(...Object.values(periodMs)),
      fc.nat(1000),
      amounts,
      fc.nat(100_000),
      (limit, period, times, cost, passed) => {
        const bucket = new Bucket(limit, period, 0)
        bucket.take(limit * times, 0)
        const wait = bucket.wait(cost, passed)
        expect(bucket.wait(cost, passed + wait)).toBe(0)
      },
    ),
    { numRuns: 5000 },
  )
})

test('a wait is not short where a float would round it down by a millisecond', () => {
  const bucket = new Bucket(999_999_999_989, periodMs.day, 0)
  bucket.take(218_855_219_905, 0)
  expect(bucket.wait(999_999_999_989, 0)).toBe(18_909_092)
  expect(bucket.wait(999_999_999_989, 18_909_091)).toBe(1)
  expect(bucket.wait(999_999_999_989, 18_909_092)).toBe(0)
})

test('a change keeps the time until it is full again, to the millisecond and a unit, and never shortens it', () => {
  const limits = fc.integer({ min: 1, max: 1_000_000_000 })
  fc.assert(
    fc.property(limits, limits, fc.nat(3_000_000_000), fc.nat(60_000), (before, after, taken, passed) => {
      const bucket = new Bucket(before, periodMs.minute, 0)
      bucket.take(taken, 0)
      bucket.wait(0, passed)
      const fullAfterMs = bucket.fullAfterMs
      bucket.change(after, passed)
      expect(bucket.fullAfterMs).toBeGreaterThanOrEqual(fullAfterMs - 1)
      expect(bucket.fullAfterMs).toBeLessThanOrEqual(fullAfterMs + 1)
    }),
    { numRuns: 2000 },
  )
})

test('changing it to and fro a thousand times neither fills nor empties it', () => {
  const bucket = new Bucket(60, periodMs.minute, 0)
  bucket.take(30, 0)
  for (let round = 0; round < 1000; round++) {
    bucket.change(1_000_003, 0)
    bucket.change(60, 0)
  }
  expect(bucket.fullAfterMs).toBeGreaterThanOrEqual(30_000)
  expect(bucket.fullAfterMs).toBeLessThanOrEqual(31_000)
})

test.each([0, -1, 1.5, Number.NaN])('a limit that is no positive integer is an error: %s', (limit) => {
  expect(() => new Bucket(limit, periodMs.minute, 0)).toThrow(RangeError)
  expect(() => new Bucket(1, periodMs.minute, 0).change(limit, 0)).toThrow(RangeError)
})
