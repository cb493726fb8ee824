import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseJsonBody, repeatsAName } from '../../gateway/src/proxy/json-body.ts'

/** What stands in a body twice for other reasons is another test's concern. */
function bodyOf(text: string) {
  const body = parseJsonBody(Buffer.from(text))
  if (body.kind === 'refused') throw new Error(body.code)
  return body
}

const value = fc.jsonValue({ maxDepth: 6 })

test('no body without a repeated name is taken for one with it', () => {
  fc.assert(
    fc.property(value, fc.boolean(), (input, spaced) => {
      const text = JSON.stringify({ input }, null, spaced ? 2 : 0)
      expect(repeatsAName(bodyOf(text))).toBe(false)
    }),
    { numRuns: 3_000 },
  )
})

test('a name that stands twice in one object is found, however deep, however it is spelled', () => {
  const wrap = fc.array(fc.constantFrom('object', 'array'), { maxLength: 8 })
  fc.assert(
    fc.property(wrap, value, value, fc.constantFrom('type', '\\u0074ype'), (wraps, first, second, name) => {
      const inner = `{"type":${JSON.stringify(first)},"${name}":${JSON.stringify(second)}}`
      const deep = wraps.reduce((text, kind) => (kind === 'array' ? `[1,${text}]` : `{"a":${text}}`), inner)
      expect(repeatsAName(bodyOf(`{"input":${deep}}`))).toBe(true)
    }),
    { numRuns: 3_000 },
  )
})
