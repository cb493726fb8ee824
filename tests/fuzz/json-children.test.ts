import fc from 'fast-check'
import { expect, test } from 'vitest'
import { visitChildren } from '../../gateway/src/proxy/json-children.ts'
import { type SpelledValue, spelledJson } from './spelled-json.ts'

const runs = { numRuns: 2000 }

interface Visited {
  readonly name: string | null
  readonly start: number
  readonly end: number
}

function visit(bytes: Buffer): readonly Visited[] {
  const visited: Visited[] = []
  visitChildren(bytes, (name, start, end) => visited.push({ name, start, end }))
  return visited
}

/** Strings of the lengths at which their end is sought in another way, with quotes and backslashes anywhere. */
const longString = fc
  .array(
    fc.oneof(
      fc.nat(150).map((length) => 'x'.repeat(length)),
      fc.constantFrom('\\"', '\\\\', '\\u0022', 'é'),
    ),
    {
      maxLength: 8,
    },
  )
  .map((pieces) => `"${pieces.join('')}"`)
const ofLongStrings: fc.Arbitrary<SpelledValue> = fc.array(longString, { maxLength: 4 }).map((strings) => {
  let text = '['
  const children = strings.map((spelled, index) => {
    if (index > 0) text += ','
    const start = text.length
    text += spelled
    return { name: null, text: spelled, start }
  })
  return { text: `${text}]`, children }
})

test('every child of any JSON text is visited by name and place, in the whole text and in a part of one', () => {
  fc.assert(
    fc.property(fc.oneof(spelledJson, ofLongStrings), fc.nat(3), ({ text, children }, around) => {
      JSON.parse(text)
      const bytes = Buffer.from(text)
      const expected = (children ?? []).map((child) => {
        const start = Buffer.byteLength(text.slice(0, child.start))
        return { name: child.name, start, end: start + Buffer.byteLength(child.text) }
      })
      expect(visit(bytes)).toEqual(expected)
      const embedded = Buffer.concat([Buffer.alloc(around, '['), bytes, Buffer.alloc(around, '"')])
      const found: Visited[] = []
      const take = (name: string | null, start: number, end: number) =>
        found.push({ name, start: start - around, end: end - around })
      visitChildren(embedded, take, undefined, around, around + bytes.length)
      expect(found).toEqual(expected)
    }),
    runs,
  )
})

test('no text holds more values, names or levels than are counted', () => {
  fc.assert(
    fc.property(spelledJson, ({ text }) => {
      const { pieces, depth } = visitChildren(Buffer.from(text), () => undefined)
      const [values, levels] = [countOf(JSON.parse(text)), depthOf(JSON.parse(text))]
      expect(pieces).toBeGreaterThanOrEqual(values)
      expect(depth).toBeGreaterThanOrEqual(levels)
    }),
    runs,
  )
})

test('the visit stops once there is more than may be', () => {
  const text = Buffer.from(`{"a":1,"b":[${'[],'.repeat(1000)}0],"c":1}`)
  let visited = 0
  const most = { pieces: 100, depth: 10 }
  expect(visitChildren(text, () => visited++, most).pieces).toBe(101)
  expect(visitChildren(Buffer.alloc(1000, '['), () => visited++, most).depth).toBe(11)
  expect(visited).toBe(1)
})

test('bytes that are no JSON are visited within their bounds, to their end', () => {
  const soup = fc.array(
    fc.oneof(
      fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'model', ' ', '1', 'x'.repeat(70)),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(soup, (pieces) => {
      const bytes = Buffer.from(pieces.join(''), 'latin1')
      for (const { start, end } of visit(bytes)) {
        expect(0 <= start && start < end && end <= bytes.length).toBe(true)
      }
    }),
    runs,
  )
})

/** Values and the names of members. */
function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  const names = Array.isArray(value) ? 0 : Object.keys(value).length
  return Object.values(value).reduce((sum: number, child) => sum + countOf(child), 1 + names)
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}
