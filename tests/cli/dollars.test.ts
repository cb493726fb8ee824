import { expect, test } from 'vitest'
import { dollars } from '../../gateway/src/cli/dollars.ts'

test.each([
  ['0', '$0.00'],
  ['4', '$4.00'],
  ['2.5', '$2.50'],
  ['0.0125', '$0.0125'],
  ['1200.000001', '$1200.000001'],
  ['0.0000014', '$0.000001'],
  ['0.0000015', '$0.000002'],
  ['1.9999999', '$2.00'],
  ['-0.5', '-$0.50'],
  ['9000000000.5', '$9000000000.5'],
])('%s dollars are shown as %s', (usd, shown) => {
  expect(dollars(usd)).toBe(shown)
})

test.each([
  ['0.000000001', '<$0.000001'],
  ['0.0000004', '<$0.000001'],
  ['-0.0000004', '>-$0.000001'],
])('%s dollars do not look like nothing: %s', (usd, shown) => {
  expect(dollars(usd)).toBe(shown)
})
