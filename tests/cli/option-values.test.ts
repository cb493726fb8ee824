import { InvalidArgumentError } from 'commander'
import { describe, expect, test } from 'vitest'
import {
  collect,
  decimal,
  durationSeconds,
  list,
  moment,
  whole,
} from '../../gateway/src/cli/option-values.ts'

const now = Date.parse('2026-03-01T12:00:00Z')

describe('a duration', () => {
  test.each([
    ['0', 0],
    ['90s', 90],
    ['15m', 900],
    ['24h', 86_400],
    ['30d', 2_592_000],
    ['2w', 1_209_600],
  ])('is read: %s', (text, seconds) => expect(durationSeconds(text)).toBe(seconds))

  test.each(['', '1', '-1h', '1.5h', '1y', 'h', '1 h', '1H', '99999999d', '1h30m'])(
    'is refused: %j',
    (text) => expect(() => durationSeconds(text)).toThrow(InvalidArgumentError),
  )
})

describe('an end', () => {
  test.each([
    ['2026-12-06T18:00:00Z', '2026-12-06T18:00:00.000Z'],
    ['2026-12-06T20:00:00+02:00', '2026-12-06T18:00:00.000Z'],
    ['30d', '2026-03-31T12:00:00.000Z'],
    ['12h', '2026-03-02T00:00:00.000Z'],
  ])('is read: %s', (text, end) => expect(moment(text, now)).toBe(end))

  test.each(['', 'never', '2026-12-06', '2026-12-06T18:00:00', '2026-13-06T18:00:00Z', '1y'])(
    'is refused: %j',
    (text) => expect(() => moment(text, now)).toThrow(InvalidArgumentError),
  )
})

test('a list is cut at its commas, and an empty one refused', () => {
  expect(list(' gpt-5-nano, gpt-4o* ,')).toEqual(['gpt-5-nano', 'gpt-4o*'])
  expect(() => list(' , ')).toThrow(InvalidArgumentError)
  expect(collect('c,d', collect('a', undefined))).toEqual(['a', 'c', 'd'])
})

test('numbers have bounds and no other spelling', () => {
  expect(whole(0, 10)('10')).toBe(10)
  expect(decimal(0, 1)('0.5')).toBe(0.5)
  for (const text of ['11', '-1', '1e1', '0x1', '1.5', '', ' 1']) {
    expect(() => whole(0, 10)(text)).toThrow(InvalidArgumentError)
  }
  for (const text of ['1.1', '-0.5', '1e-1', '.5', 'NaN', '']) {
    expect(() => decimal(0, 1)(text)).toThrow(InvalidArgumentError)
  }
})
