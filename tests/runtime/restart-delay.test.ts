import { expect, test } from 'vitest'
import { RestartDelay } from '../../gateway/src/runtime/workers/restart-delay.ts'

test('a worker that dies is started again at once, then after growing pauses up to 10 s', () => {
  const delay = new RestartDelay()
  const pauses = Array.from({ length: 10 }, () => delay.next(1_000))
  expect(pauses).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000])
})

test('one that has served for a minute before it died has not died of its start', () => {
  const delay = new RestartDelay()
  for (let deaths = 0; deaths < 5; deaths++) delay.next(0)
  expect(delay.next(60_000)).toBe(0)
  expect(delay.next(59_999)).toBe(100)
})
