import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withIncludeUsage } from '../../gateway/src/proxy/include-usage.ts'
import { parseJsonBody } from '../../gateway/src/proxy/json-body.ts'
import { spelledJson, spelledObject } from './spelled-json.ts'

const runs = { numRuns: 2000 }
const read = ['model', 'models', 'stream', 'stream_options', 'prompt', 'tools', 'messages', 'n', 'max_tokens']
const others = ['metadata', 'top_p', 'temperature', 'model_', 'mode', '']
const name = fc.oneof(fc.constantFrom(...read), fc.constantFrom(...others))
const value = fc.constantFrom('null', '1', '"gpt"', '[]', '{}', '{"model":"x","model":"y"}')
const object = fc
  .array(fc.tuple(name, value), { maxLength: 6 })
  .chain((members) =>
    spelledObject(members).map(({ text }) => ({ text, names: members.map(([own]) => own) })),
  )

test('a body is refused exactly when a field that is read stands twice, in whatever spelling', () => {
  fc.assert(
    fc.property(object, ({ text, names }) => {
      const repeated = read.some((field) => names.filter((own) => own === field).length > 1)
      const body = parseJsonBody(Buffer.from(text))
      expect(body.kind).toBe(repeated ? 'refused' : 'json')
      if (body.kind === 'json') expect(body.fields).toEqual(JSON.parse(text))
    }),
    runs,
  )
})

test('a field that a provider which ignores case would read is refused', () => {
  const spellings = [
    'Model',
    'MODEL',
    'modeL',
    'modelſ',
    'Models',
    'ſtream',
    'Tools',
    'Prompt',
    'stream_Options',
    'N',
    'Max_Completion_Tokens',
    'service_tıer',
    'bac\u212Aground',
    'INPUT',
  ]
  fc.assert(
    fc.property(
      fc.constantFrom(...spellings).chain((own) =>
        spelledObject([
          ['model', '"gpt"'],
          [own, '"other"'],
        ]),
      ),
      ({ text }) => {
        expect(parseJsonBody(Buffer.from(text)).kind).toBe('refused')
      },
    ),
  )
})

test('a repeated field of stream_options or of a tool is refused, in whatever spelling', () => {
  const pair = (own: string) =>
    spelledObject([
      [own, '"a"'],
      ['x', '1'],
      [own, 'true'],
    ])
  fc.assert(
    fc.property(
      fc.oneof(
        pair('include_usage').map(({ text }) => `{"stream":true,"stream_options":${text}}`),
        pair('model').map(({ text }) => `{"tools":[{"type":"function"},${text}]}`),
        pair('type').map(({ text }) => `{"tools":[${text}]}`),
      ),
      (text) => {
        expect(parseJsonBody(Buffer.from(text)).kind).toBe('refused')
      },
    ),
  )
})

const mebibyte = 2 ** 20
const filled = (head: string, unit: string, tail: string) =>
  `${head}${unit.repeat((31 * mebibyte) / unit.length).replace(/,$/, '')}${tail}`

test.each([
  ['tiny values', () => filled('{"model":"m","tools":[', '0,', ']}')],
  ['empty objects', () => filled('{"model":"m","input":[', '{},', ']}')],
  ['members, one of them escaped', () => filled('{"\\u0061":1,', '"model":0,', '"b":0}')],
  ['members of small objects', () => filled('{"tools":[', '{"a":0,"b":0},', ']}')],
  ['levels', () => `{"a":${'['.repeat(16 * mebibyte)}${']'.repeat(16 * mebibyte)}}`],
])('a body of 31 MB of %s is refused before anything is built of it', (_what, body) => {
  const bytes = Buffer.from(body())
  const before = process.memoryUsage().heapUsed
  expect(parseJsonBody(bytes, neverAsked)).toMatchObject({
    kind: 'refused',
    code: 'invalid_request',
    details: { max_values: 500_000, max_depth: 1_000 },
  })
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * mebibyte)
})

function neverAsked(): boolean {
  throw new Error('memory was asked for')
}

test.each([
  ['all tokens that a provider embeds at once', JSON.stringify({ input: tokens(2048, 146) })],
  ['a list nested 999 deep', `{"a":${'['.repeat(999)}${']'.repeat(999)}}`],
  ['31 MB in one text', `{"input":"${'\\"\\\\'.repeat(8 * mebibyte)}"}`],
])('a body of %s is read', (_what, text) => {
  expect(parseJsonBody(Buffer.from(text))).toMatchObject({ kind: 'json', fields: JSON.parse(text) })
})

function tokens(inputs: number, each: number): readonly (readonly number[])[] {
  return Array.from({ length: inputs }, () => Array.from({ length: each }, (_, index) => 1000 + index))
}

test('memory is asked for values that take more of it than their text', () => {
  const asked: number[] = []
  const claim = (bytes: number) => asked.push(bytes) > 0 && bytes < 100_000
  const many = Buffer.from(`{"a":[${'{},'.repeat(100_000)}0]}`)
  expect(parseJsonBody(many, claim)).toMatchObject({ kind: 'refused', code: 'overloaded' })
  expect(parseJsonBody(Buffer.from('{"a":[{},{}]}'), claim).kind).toBe('json')
  expect(parseJsonBody(Buffer.from(`{"a":"${'x'.repeat(1000)}"}`), claim).kind).toBe('json')
  expect(asked[0]).toBeGreaterThan(10 * mebibyte)
  expect(asked[1]).toBeLessThan(1000)
  expect(asked).toHaveLength(2)
})

test('bytes that are not UTF-8 are no JSON', () => {
  fc.assert(
    fc.property(fc.constantFrom('80', 'c1ad', 'ff', 'e22278', 'eda080'), (hex) => {
      const body = Buffer.concat([Buffer.from('{"model":"a'), Buffer.from(hex, 'hex'), Buffer.from('"}')])
      expect(parseJsonBody(body)).toMatchObject({ kind: 'refused', code: 'invalid_json' })
    }),
  )
})

const options = fc.oneof(
  fc.constantFrom(undefined, 'null', '{}', '{"include_usage":false}', '{"include_usage":null}'),
  fc
    .array(fc.tuple(fc.constantFrom('a', 'include_obfuscation', ''), spelledJson), { maxLength: 2 })
    .chain((members) => spelledObject(members.map(([own, { text }]) => [own, text])).map(({ text }) => text)),
  spelledObject([
    ['x', '[{}]'],
    ['include_usage', 'false'],
    ['z', '"}"'],
  ]).map(({ text }) => text),
)

test('asking for usage changes stream_options and not one byte beside it', () => {
  const body = fc.tuple(options, spelledJson, fc.nat(2)).chain(([stream, { text }, place]) => {
    const members: [string, string][] = [
      ['model', '"gpt"'],
      ['stream', 'true'],
      ['messages', text],
    ]
    if (stream !== undefined) members.splice(place, 0, ['stream_options', stream])
    return spelledObject(members)
  })
  fc.assert(
    fc.property(body, ({ text, children }) => {
      const bytes = Buffer.from(text)
      const parsed = parseJsonBody(bytes)
      if (parsed.kind !== 'json') throw new Error(`refused: ${text}`)
      const asked = withIncludeUsage(parsed)
      if (asked === null) throw new Error(`not asked: ${text}`)
      const before = JSON.parse(text)
      const wanted = { ...before, stream_options: { ...before.stream_options, include_usage: true } }
      expect(JSON.parse(asked.toString())).toEqual(wanted)
      expect(unchangedBytes(bytes, asked)).toBeGreaterThanOrEqual(
        bytes.length -
          Buffer.byteLength(children?.find((child) => child.name === 'stream_options')?.text ?? ''),
      )
    }),
    runs,
  )
})

test('a client that asks for usage itself gets its body sent as it is', () => {
  fc.assert(
    fc.property(
      spelledObject([
        ['a', '1'],
        ['include_usage', 'true'],
      ]),
      ({ text }) => {
        const parsed = parseJsonBody(Buffer.from(`{"stream":true,"stream_options":${text}}`))
        expect(parsed.kind === 'json' && withIncludeUsage(parsed)).toBeNull()
      },
    ),
  )
})

/** How many bytes at the beginning and at the end two texts have in common, never counting one twice. */
function unchangedBytes(before: Buffer, after: Buffer): number {
  let head = 0
  while (head < before.length && before[head] === after[head]) head++
  let tail = 0
  while (tail < before.length - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++
  return head + tail
}
