import { expect, test } from 'vitest'
import { copied, readAnnotations, storable } from '../../gateway/src/proxy/annotations.ts'
import { memoryInUse } from '../support/memory.ts'

/** As Node gives the bytes of a header. */
function received(text: string): string {
  return Buffer.from(text).toString('latin1')
}

test.each([
  ['plain', 'plain'],
  [received('Zoë 漢字 🙂'), 'Zoë 漢字 🙂'],
  ['Zo\xeb', 'Zoë'],
  [`${received('é')}\xff`, 'Ã©ÿ'],
  [received('🙂'.repeat(200)), '🙂'.repeat(128)],
  [`${received('é'.repeat(255))}${received('🙂')}`, `${'é'.repeat(255)}\ufffd`],
])('a value is read as UTF-8 where it is that, else as Latin-1, and cut behind: %j', (value, expected) => {
  expect(readAnnotations(['latchkey-user-id', value]).userId).toBe(expected)
})

test('what a record keeps of a long text does not keep that text', () => {
  const size = 500_000
  const take = (part: (long: string) => string) => {
    const before = memoryInUse()
    const kept = Array.from({ length: 50 }, (_, index) => part(`${index}-`.repeat(size / 3)))
    const more = memoryInUse() - before
    expect(kept).toHaveLength(50)
    return more
  }
  const properties = (long: string) => {
    const found = readAnnotations([`latchkey-property-${long}`, long])
    return Object.keys(found.properties)[0] ?? ''
  }
  expect(take((long) => long.slice(100, 200))).toBeGreaterThan(10 * size)
  expect(take((long) => copied(long.slice(100, 200)))).toBeLessThan(5 * size)
  expect(take(storable)).toBeLessThan(5 * size)
  expect(take(properties)).toBeLessThan(5 * size)
})
