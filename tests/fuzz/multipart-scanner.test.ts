import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { boundaryOf, MultipartScanner } from '../../gateway/src/proxy/multipart-scanner.ts'
import { cutAt, cuts } from './chunks.ts'
import { laxParsers } from './lax-multipart.ts'

const boundary = 'b0-7'
const runs = { numRuns: 3000 }

interface Scan {
  readonly out: Buffer
  readonly beforeClosing: Buffer
  readonly model: string | null
  readonly malformed: boolean
  readonly fields: Readonly<Record<string, string>>
  readonly fieldBytes: number
}

function scan(chunks: readonly Buffer[]): Scan {
  const scanner = new MultipartScanner(boundary)
  const passed = chunks.map((chunk) => scanner.push(chunk))
  const beforeClosing = Buffer.concat(passed)
  const out = Buffer.concat([beforeClosing, scanner.end()])
  const { model, malformed, fields, fieldBytes } = scanner
  return { out, beforeClosing, model, malformed, fields, fieldBytes }
}

const content = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc
    .array(fc.constantFrom('\r', '\n', '\r\n', '-', '--', '--b0', '--b0-', 'x', '\r\n--b0-'), {
      maxLength: 8,
    })
    .map((parts) => parts.join('')),
)
/** Names that a form may repeat, as a text or as a file, and names that it may not. */
const part = fc.tuple(fc.constantFrom('file', 'image[]', 'user', 'language'), content, fc.boolean())
const singlePart = fc.tuple(fc.constantFrom('prompt', 'n', 'size', 'quality'), content, fc.constant(false))

function written(name: string, value: string, file = false): string {
  const more = file ? '; filename="a;b.png"\r\nContent-Type: image/png' : ''
  return `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
}

const form = fc
  .tuple(
    fc.array(part, { maxLength: 4 }),
    fc.uniqueArray(singlePart, { selector: ([name]) => name, maxLength: 3 }),
    fc.option(fc.constantFrom('gpt-4o', 'ü', '')),
    fc.nat(4),
  )
  .map(([parts, singles, model, place]) => {
    const all: [name: string, value: string, file: boolean][] = [...singles, ...parts]
    if (model !== null) all.splice(place, 0, ['model', Buffer.from(model).toString('latin1'), false])
    const texts = all.map(([name, value, file]) => written(name, value, file))
    const fields = all.flatMap(([name, value, file]) => (file ? [] : [[name, decoded(value)] as const]))
    const bytes = all.reduce((sum, [, value, file]) => sum + (file ? 0 : value.length), 0)
    return {
      text: `${texts.join('')}--${boundary}--\r\n`,
      ...{ model, bytes },
      fields: Object.fromEntries(fields),
      parts: texts.length,
    }
  })
  .filter(({ text, parts }) => parts > 0 && text.split(`--${boundary}`).length === parts + 2)

function decoded(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8')
}

describe('a form as clients write it', () => {
  test('is well formed, its text fields are found, and every byte goes on in order, however it is cut', () => {
    fc.assert(
      fc.property(form, cuts, ({ text, model, fields, bytes: fieldBytes }, places) => {
        const bytes = Buffer.from(text, 'latin1')
        const result = scan(cutAt(bytes, places))
        expect(result.out.equals(bytes)).toBe(true)
        expect(result.malformed).toBe(false)
        expect(result).toMatchObject({ model, fieldBytes })
        expect(result.fields).toEqual(fields)
      }),
      runs,
    )
  })

  test('loses its closing boundary, and nothing else, until that is let through', () => {
    fc.assert(
      fc.property(form, cuts, ({ text }, places) => {
        const { beforeClosing } = scan(cutAt(Buffer.from(text, 'latin1'), places))
        const closing = `\r\n--${boundary}--\r\n`
        expect(beforeClosing.toString('latin1') + closing).toBe(text)
      }),
      runs,
    )
  })
})

const lines = [
  'Content-Disposition: form-data; name="model"',
  'Content-Disposition: form-data; name=model',
  'content-disposition:form-data;name="model"',
  'Content-Disposition: form-data; name="prompt"',
  'Content-Disposition: form-data; name="file"; filename="x"',
  'Content-Disposition: form-data; name="file"; filename="a; name=model"',
  'Content-Disposition: form-data; name="file"; name="model"',
  'Content-Disposition: form-data; name="file\\"; name=\\"model\\""',
  'Content-Disposition: form-data; name="file; name="model"',
  "Content-Disposition: form-data; name*=utf-8''model",
  'Content-Disposition: form-data; name="Model"',
  'Content-Disposition: form-data; name="model[]"',
  'Content-Disposition: form-data; name=" model"',
  'Content-Disposition: form-data; name="mo\\del"',
  'Content-Disposition: form-data;',
  ' Content-Disposition: form-data; name="model"',
  ' name="model"',
  'Content-Disposition : form-data; name="model"',
  'Content-Type: multipart/mixed; boundary=b0-7',
  'Content-Type: text/plain; charset=utf-7',
  'X: y',
]
const fragment = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('\r\n', '\n', '\r', '\r\n\r\n', '\n\n', ' ', '--') },
  { weight: 3, arbitrary: fc.constantFrom(...lines) },
  { weight: 2, arbitrary: fc.constantFrom('gpt-5-nano', 'big', 'x') },
  { weight: 4, arbitrary: fc.constantFrom(`--${boundary}`, `\r\n--${boundary}\r\n`, `\r\n--${boundary}--`) },
)
/** Parts that are nearly right, so that a good share of the bodies is not refused for a trifle. */
const usually = (usual: readonly string[], ...rare: readonly string[]) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...usual, ...rare) },
  )
const nearHead = fc
  .tuple(usually(lines.slice(0, 6), ...lines), fc.option(fc.constantFrom(...lines), { freq: 4 }))
  .chain(([first, second]) =>
    second === null
      ? fc.constant(first)
      : usually(['\r\n'], '\n', '\r', '\r\n ').map((end) => `${first}${end}${second}`),
  )
const nearPart = fc
  .tuple(
    nearHead,
    usually(['\r\n\r\n'], '\n\n', '\r\r', '\r\n\n', '\r\n'),
    usually(
      ['gpt-5-nano', 'big', 'x'],
      `x--${boundary}`,
      `x\r\n${written('model', 'big')}`,
      `x\n--${boundary}--`,
    ),
    usually(['\r\n'], '\n', '\r', ''),
  )
  .map(([head, end, value, last]) => `--${boundary}\r\n${head}${end}${value}${last}`)
const nearForm = fc
  .tuple(
    fc.array(nearPart, { minLength: 1, maxLength: 3 }),
    usually([`--${boundary}--`, `--${boundary}--\r\n`], '', `--${boundary}--\r\n${written('model', 'big')}`),
  )
  .map(([parts, end]) => parts.join('') + end)
const soup = fc.array(fragment, { maxLength: 14 }).map((fragments) => `--${boundary}${fragments.join('')}`)
const anyBody = fc.oneof({ weight: 5, arbitrary: nearForm }, { weight: 1, arbitrary: soup })

describe('whatever the bytes are', () => {
  test.each(Object.entries(laxParsers))(
    '%s finds no other model in a form that is let through',
    (_name, parse) => {
      fc.assert(
        fc.property(anyBody, cuts, (text, places) => {
          const { model, malformed } = scan(cutAt(Buffer.from(text, 'latin1'), places))
          if (malformed) return
          for (const found of parse(text, boundary)) expect(found).toBe(model)
        }),
        runs,
      )
    },
  )

  test('the judgement does not depend on how they are cut', () => {
    fc.assert(
      fc.property(anyBody, cuts, (text, places) => {
        const bytes = Buffer.from(text, 'latin1')
        const whole = scan([bytes])
        const inPieces = scan(cutAt(bytes, places))
        expect(inPieces.malformed).toBe(whole.malformed)
        expect(inPieces.out.equals(bytes)).toBe(true)
        if (!whole.malformed) expect(inPieces.model).toBe(whole.model)
        expect(inPieces.fields).toEqual(whole.fields)
      }),
      runs,
    )
  })
})

test.each([
  ['text before the first boundary', `hello\r\n${written('model', 'gpt')}--${boundary}--`],
  ['text behind the closing boundary', `${written('model', 'gpt')}--${boundary}--\r\nhello`],
  ['a form inside a part', written('a', '').replace('\r\n\r\n', '\r\nContent-Type: multipart/mixed\r\n\r\n')],
  ['a model that is a file', written('model', 'gpt', true)],
  ['two models', written('model', 'gpt') + written('model', 'gpt')],
  ['two counts of images', written('n', '1') + written('n', '10')],
  ['a count of images as a list', written('n[]', '10')],
  ['a count of images in capitals', written('N', '10')],
  ['a count of images that is a file', written('n', '10', true)],
  ['a list of models', written('model', 'gpt') + written('models', 'x')],
  ['lists of models', written('model', 'gpt') + written('models[]', 'x')],
  ['a model of more than 1 KiB', written('model', 'x'.repeat(1025))],
  [
    'more fields than any API asks for',
    Array.from({ length: 20 }, (_, i) => written(`a${i}`, 'x'.repeat(4000))).join(''),
  ],
  ['a great many names', Array.from({ length: 20_000 }, () => written('abcd', '')).join('')],
  [
    'a kilobyte of line ends behind its end',
    `${written('model', 'gpt')}--${boundary}--${'\r\n'.repeat(600)}`,
  ],
  ['no closing boundary', written('model', 'gpt')],
])('%s makes a form malformed', (_what, text) => {
  const closed = text.includes(`--${boundary}--`) || text === written('model', 'gpt')
  const bytes = Buffer.from(closed ? text : `${text}--${boundary}--`)
  expect(scan([bytes])).toMatchObject({ malformed: true, out: bytes, fields: {} })
})

test('of a long text only its size is kept', () => {
  const [short, long] = ['x'.repeat(4096), 'y'.repeat(100_000)]
  const text = `${written('model', 'gpt')}${written('user', short)}${written('prompt', long)}--${boundary}--`
  const pieces = cutAt(Buffer.from(text), [100, 5000, 20_000, 60_000])
  expect(scan(pieces)).toMatchObject({
    malformed: false,
    fields: { model: 'gpt', user: short, prompt: '' },
    fieldBytes: 3 + short.length + long.length,
  })
})

test('headers without an end are not gathered in memory', () => {
  const scanner = new MultipartScanner(boundary)
  scanner.push(Buffer.from(`--${boundary}\r\nX: `))
  const chunk = Buffer.alloc(1024, 'x')
  for (let pushed = 0; pushed < 64; pushed++) scanner.push(chunk)
  expect(scanner.malformed).toBe(true)
  // What stands behind is content, where the end of headers means nothing any more.
  scanner.push(Buffer.from('\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt\r\n'))
  scanner.push(Buffer.from(`--${boundary}--`))
  expect(scanner.model).toBeNull()
})

test.each([
  ['multipart/form-data; boundary=abc', 'abc'],
  ['multipart/form-data; boundary="abc"', 'abc'],
  ['multipart/form-data; Boundary=----formdata-undici-0123; charset=utf-8', '----formdata-undici-0123'],
  ['multipart/form-data', null],
  ['multipart/form-data; boundary=', null],
  ['multipart/form-data; boundary=a; boundary=b', null],
  ['multipart/form-data; x="; boundary=a"; boundary=b', null],
  ["multipart/form-data; boundary=a; boundary*=utf-8''b", null],
  ['multipart/form-data; boundary*0=a; boundary*1=b', null],
  ['multipart/form-data; boundary="a', null],
  ['multipart/form-data; boundary=a"b', null],
  ['multipart/form-data; boundary="a "', null],
  ['multipart/form-data; boundary="a\\b"', null],
  ['multipart/form-data; boundary=a b', null],
  ['multipart/form-data; boundary=a,b', null],
  [`multipart/form-data; boundary=${'a'.repeat(71)}`, null],
])('the boundary of %s is %s', (contentType, expected) => {
  expect(boundaryOf(contentType)).toBe(expected)
})
