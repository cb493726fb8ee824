import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Child, ChildScanner } from '../../gateway/src/proxy/child-scanner.ts'
import { cutAt, cuts } from './chunks.ts'
import { spelledJson } from './spelled-json.ts'

const runs = { numRuns: 2000 }

function scan(
  chunks: readonly Buffer[],
  capture: readonly string[] = [],
  longest?: number,
): readonly Child[] {
  const children: Child[] = []
  const scanner = new ChildScanner((child) => children.push(child), new Set(capture), longest)
  for (const chunk of chunks) scanner.push(chunk)
  return children
}

test('every child of any JSON text is found by name and place, however the text is cut', () => {
  fc.assert(
    fc.property(spelledJson, cuts, (value, places) => {
      JSON.parse(value.text)
      const expected = (value.children ?? []).map(({ name, text, start }) => {
        const from = Buffer.byteLength(value.text.slice(0, start))
        return { name, start: from, end: from + Buffer.byteLength(text), bytes: null }
      })
      expect(scan(cutAt(Buffer.from(value.text), places))).toEqual(expected)
    }),
    runs,
  )
})

test('a captured value parses to what JSON.parse gives, and no other value is held', () => {
  fc.assert(
    fc.property(spelledJson, cuts, (value, places) => {
      const found = scan(cutAt(Buffer.from(value.text), places), ['usage', 'model'])
      for (const [index, { name, bytes }] of found.entries()) {
        const text = value.children?.[index]?.text ?? ''
        if (name !== 'usage' && name !== 'model') expect(bytes).toBeNull()
        else expect(JSON.parse(String(bytes))).toEqual(JSON.parse(text))
      }
    }),
    runs,
  )
})

test('a value that is longer than may be captured is told by its place alone', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40 }), cuts, (length, places) => {
      const text = `{"usage":"${'x'.repeat(length)}"}`
      const [child] = scan(cutAt(Buffer.from(text), places), ['usage'], 20)
      expect(child?.bytes === null).toBe(length + 2 > 20)
    }),
  )
})

test('bytes that are no JSON neither throw nor keep the scanner from ending', () => {
  const soup = fc.array(
    fc.oneof(
      fc
        .constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'model', ' ', '1')
        .map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(soup, (chunks) => {
      const children = scan(
        chunks.filter((chunk) => chunk.length > 0),
        ['model'],
      )
      const { length } = Buffer.concat(chunks)
      for (const { start, end } of children) expect(0 <= start && start <= end && end <= length).toBe(true)
    }),
    runs,
  )
})
