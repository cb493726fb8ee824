import { formatUsd, nanoUsd, nanoUsdFromPico, parseUsd, picoUsd } from '@latchkey/shared'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

describe('dollars are parsed to the nano-dollar, or not at all', () => {
  test.each([
    ['0', 0n],
    ['2', 2_000_000_000n],
    ['2.00', 2_000_000_000n],
    ['0.5', 500_000_000n],
    ['0.000000001', 1n],
    ['999999999.999999999', 999_999_999_999_999_999n],
  ])('%s', (text, nano) => {
    expect(parseUsd(text)).toBe(nano)
  })

  test.each([
    ...['', ' 2', '2 ', '-1', '+1', '1e3', '1e-9', '.5', '2.', '1,5', '1_000', '$2', '02', '0x10'],
    ...['0.0000000001', '1000000000', 'NaN', 'Infinity', '٢', '2\n'],
  ])('%j is no amount', (text) => {
    expect(parseUsd(text)).toBeNull()
  })
})

describe('amounts are shown without loss', () => {
  test.each([
    [0n, '0'],
    [1n, '0.000000001'],
    [2_000_000_000n, '2'],
    [2_500_000_000n, '2.5'],
    [-1n, '-0.000000001'],
    [-2_500_000_000n, '-2.5'],
  ])('%s', (nano, text) => {
    expect(formatUsd(nanoUsd(nano))).toBe(text)
  })

  test('what is shown parses to the same amount', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 999_999_999_999_999_999n), (nano) => {
        expect(parseUsd(formatUsd(nanoUsd(nano)))).toBe(nano)
      }),
    )
  })
})

test('pico-dollars become nano-dollars rounded up, never down', () => {
  expect(nanoUsdFromPico(0n)).toBe(0n)
  expect(nanoUsdFromPico(1n)).toBe(1n)
  expect(nanoUsdFromPico(1000n)).toBe(1n)
  expect(nanoUsdFromPico(1001n)).toBe(2n)
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 24n), (pico) => {
      const over = picoUsd(nanoUsdFromPico(pico)) - pico
      expect(over >= 0n && over < 1000n).toBe(true)
    }),
  )
})
