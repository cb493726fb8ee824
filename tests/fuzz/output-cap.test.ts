import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withNumberField } from '../../gateway/src/proxy/output-cap.ts'
import { spelledJson, spelledObject } from './spelled-json.ts'

const field = 'max_completion_tokens'

test('a number is set where it stood, or first, and no other byte of the body changes', () => {
  const given = fc.option(fc.constantFrom('1', 'null', '99999999999999999999', '"12"', ' 7 '.trim()))
  const body = fc
    .tuple(given, spelledJson, fc.nat(2), fc.boolean())
    .chain(([old, { text }, place, others]) => {
      const members: [string, string][] = others
        ? [
            ['model', '"gpt"'],
            ['messages', text],
          ]
        : []
      if (old !== null) members.splice(place, 0, [field, old])
      return spelledObject(members).map((spelled) => ({ ...spelled, old }))
    })
  fc.assert(
    fc.property(body, fc.bigInt({ min: 1n, max: 10n ** 15n }), ({ text, children, old }, cap) => {
      const set = withNumberField(Buffer.from(text), field, cap).toString()
      expect(JSON.parse(set)).toEqual({ ...JSON.parse(text), [field]: Number(cap) })
      const stood = children?.find((child) => child.name === field)
      const open = text.indexOf('{') + 1
      const before = stood === undefined ? open : stood.start
      expect(set.slice(0, before)).toBe(text.slice(0, before))
      expect(set.endsWith(text.slice(before + (stood === undefined ? 0 : (old?.length ?? 0))))).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['{}', '{"max_tokens":5}'],
  [' {\n} ', ' {"max_tokens":5\n} '],
  ['{"a":{"max_tokens":1}}', '{"max_tokens":5,"a":{"max_tokens":1}}'],
  [
    '{"a":"\\"max_tokens\\":1","max_\\u0074okens" : null }',
    '{"a":"\\"max_tokens\\":1","max_\\u0074okens" : 5 }',
  ],
])('%s becomes %s', (body, expected) => {
  expect(withNumberField(Buffer.from(body), 'max_tokens', 5n).toString()).toBe(expected)
})
