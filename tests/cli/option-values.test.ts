import { InvalidArgumentError } from 'commander'
import { describe, expect, test } from 'vitest'
import {
  amount,
  collect,
  decimal,
  durationSeconds,
  list,
  moment,
  pastMoment,
  percentages,
  signedAmount,
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

describe('a moment that is over', () => {
  test.each([
    ['2026-02-01', '2026-02-01T00:00:00.000Z'],
    ['2026-02-01T20:00:00+02:00', '2026-02-01T18:00:00.000Z'],
    ['7d', '2026-02-22T12:00:00.000Z'],
    ['12h', '2026-03-01T00:00:00.000Z'],
  ])('is read: %s', (text, start) => expect(pastMoment(text, now)).toBe(start))

  test.each(['', 'yesterday', '2026-02-30', '2026-2-1', '1y', '-1h'])('is refused: %j', (text) =>
    expect(() => pastMoment(text, now)).toThrow(InvalidArgumentError),
  )
})

describe('an amount of dollars', () => {
  test.each(['0', '4', '2.50', '0.000000001'])('is read: %s', (text) => expect(amount(text)).toBe(text))

  test.each(['', '-1', '+1', '1e3', '.5', '1.', '$4', '0.0000000001', '1,000'])('is refused: %j', (text) =>
    expect(() => amount(text)).toThrow(InvalidArgumentError),
  )

  test('may be less where it is to be added', () => {
    expect(signedAmount('-2.5')).toBe('-2.5')
    expect(signedAmount('2.5')).toBe('2.5')
    expect(() => signedAmount('--2.5')).toThrow(InvalidArgumentError)
  })
})

describe('percentages', () => {
  test.each([
    ['50,80,100', [50, 80, 100]],
    ['90%, 25 ', [90, 25]],
    ['1000', [1000]],
  ])('are read: %s', (text, percents) => expect(percentages(text)).toEqual(percents))

  test.each(['', '0', '1001', '12.5', '-5', '%', '50;80'])('are refused: %j', (text) =>
    expect(() => percentages(text)).toThrow(InvalidArgumentError),
  )
})
