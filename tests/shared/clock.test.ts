import { systemRandom } from '@latchkey/shared'
import { expect, test } from 'vitest'

test('random bytes are as many as were asked for, of any size', () => {
  for (const size of [0, 1, 10, 16, 17, 32, 10_000]) expect(systemRandom(size)).toHaveLength(size)
})

test('random bytes are never given twice, however many are taken', () => {
  // Many times what is kept ready; twelve bytes leave a rest at its end.
  const seen = new Set(Array.from({ length: 20_000 }, () => Buffer.from(systemRandom(12)).toString('hex')))
  expect(seen.size).toBe(20_000)
})

test('every bit of them is as often one as not', () => {
  const ones = Array.from({ length: 96 }, () => 0)
  for (let draw = 0; draw < 10_000; draw++)
    systemRandom(12).forEach((byte, at) => {
      for (let bit = 0; bit < 8; bit++) ones[at * 8 + bit] = (ones[at * 8 + bit] ?? 0) + ((byte >> bit) & 1)
    })
  // Ten standard deviations.
  for (const count of ones) expect(Math.abs(count - 5_000)).toBeLessThan(500)
})

test('random bytes belong to whoever asked: changing them changes no others', () => {
  const first = systemRandom(16)
  const copy = Buffer.from(first)
  const second = systemRandom(16)
  second.fill(0)
  expect(Buffer.from(first)).toEqual(copy)
  expect(new Set([first.buffer, second.buffer, systemRandom(16).buffer]).size).toBe(3)
})
