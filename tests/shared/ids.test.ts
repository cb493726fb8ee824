import { systemClock, systemRandom, uuidv7 } from '@latchkey/shared'
import { expect, test } from 'vitest'

test('a UUID of version 7 spells its moment, its version and its variant, and keeps every other random bit', () => {
  const clock = { now: () => 0x1234_5678_9abc, monotonic: () => 0 }
  expect(uuidv7(clock, () => new Uint8Array(10))).toBe('12345678-9abc-7000-8000-000000000000')
  expect(uuidv7(clock, () => new Uint8Array(10).fill(0xff))).toBe('12345678-9abc-7fff-bfff-ffffffffffff')
  expect(uuidv7(clock, (size) => Uint8Array.from({ length: size }, (_, index) => index))).toBe(
    '12345678-9abc-7001-8203-040506070809',
  )
})

test('ids that are made one after the other keep their own spelling', () => {
  const ids = Array.from({ length: 1000 }, () => uuidv7(systemClock, systemRandom))
  expect(new Set(ids).size).toBe(1000)
})
