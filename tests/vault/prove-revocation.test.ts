import { expect, test } from 'vitest'
import { measureAll } from '../proofs/revocation/measure.ts'

test('a change at one process binds at the other within 2 s, and within 12 s with NOTIFY and Redis cut', {
  timeout: 120_000,
}, async () => {
  const measured = await measureAll({ revocations: 4 }, () => undefined)
  expect(measured).toHaveLength(10)
  expect(measured.flatMap(({ violations }) => violations)).toEqual([])
  // Cut, only the poll is left: had these been heard of otherwise, nothing would have been cut.
  const cut = measured.filter(({ channels }) => channels === 'neither').map(({ p100 }) => p100)
  expect(Math.max(...cut)).toBeGreaterThan(300)
})
