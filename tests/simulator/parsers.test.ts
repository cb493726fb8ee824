import { createServer, request, type Server } from 'node:http'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Form, readForm } from '../../gateway/src/simulator/multipart.ts'
import { parseOptions, type SimulatorSettings } from '../../gateway/src/simulator/options.ts'
import { prose } from '../../gateway/src/simulator/prose.ts'
import { countTokens, slices, truncateToTokens } from '../../gateway/src/simulator/tokens.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 200 })

test('a text has at least one token and never more tokens than bytes', () => {
  fc.assert(
    fc.property(text, (value) => {
      const tokens = countTokens(value)
      expect(tokens).toBeGreaterThanOrEqual(1)
      expect(tokens).toBeLessThanOrEqual(Math.max(1, Buffer.byteLength(value)))
    }),
  )
})

test('the slices of a text join to it, and their tokens add up to its own', () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 9 }), (value, size) => {
      const parts = [...slices(value, size)]
      expect(parts.map((part) => part.text).join('')).toBe(value)
      const tokens = parts.reduce((sum, part) => sum + part.tokens, 0)
      expect(tokens).toBe(value === '' ? 0 : countTokens(value))
      for (const part of parts) expect(part.text.isWellFormed()).toBe(true)
    }),
  )
})

test('a truncated text is a beginning of the whole and has at most that many tokens', () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 60 }), (value, tokens) => {
      const cut = truncateToTokens(value, tokens)
      expect(value.startsWith(cut)).toBe(true)
      expect(countTokens(cut)).toBeLessThanOrEqual(tokens)
      expect(Buffer.byteLength(cut)).toBeGreaterThan(Math.min(Buffer.byteLength(value), tokens * 4) - 4)
    }),
  )
})

test('prose has exactly the tokens that were asked for, from one to a million', () => {
  for (const tokens of [1, 2, 50, 2047, 2048, 2049, 5000, 1_000_000])
    for (const start of [0, 31, 4_000_000_000]) expect(countTokens(prose(tokens, start))).toBe(tokens)
})

const goodOptions: readonly SimulatorSettings[] = [
  {},
  { basePath: '' },
  { basePath: '/openai/v1', tokens: 1, faultRate: 1, pace: 0.5, seed: 0, maxEntries: 0 },
]
test.each(goodOptions)('options %j are taken and frozen', (settings) => {
  const options = parseOptions(settings)
  expect(options).toMatchObject(settings)
  expect(Object.isFrozen(options)).toBe(true)
})

const badOptions: readonly SimulatorSettings[] = [
  { basePath: 'v1' },
  { basePath: '/v1/' },
  { tokens: 0 },
  { tokens: 1.5 },
  { latencyMs: -1 },
  { latencyMs: Number.NaN },
  { pace: Number.POSITIVE_INFINITY },
  { chunkTokens: 0 },
  { faultRate: 1.01 },
  { faultKinds: ['status=200'] },
  { seed: -1 },
  { maxEntries: -1 },
]
test.each(badOptions)('options %j are refused by name', (settings) => {
  const [param] = Object.keys(settings)
  expect(() => parseOptions(settings)).toThrowError(
    expect.objectContaining({ code: 'invalid_config', param }),
  )
})

let server: Server
let port = 0
let nextForm: (form: Promise<Form>) => void = () => undefined

beforeAll(async () => {
  server = createServer((incoming, response) => {
    nextForm(readForm(incoming))
    incoming.once('end', () => response.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address === 'object' && address !== null) port = address.port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** The form that `parts`, sent one after the other, make. */
async function formOf(parts: readonly Buffer[], boundary: string): Promise<Form> {
  const form = new Promise<Form>((resolve, reject) => {
    nextForm = (read) => void read.then(resolve, reject)
  })
  const outgoing = request({
    port,
    host: '127.0.0.1',
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  })
  outgoing.on('response', (response) => response.resume())
  outgoing.on('error', () => undefined)
  Readable.from(parts).pipe(outgoing)
  return form
}

test('a form is read the same however its bytes are split', async () => {
  const content = '\r\n--bound\r\n-\r\r\n--boundar'
  const body = Buffer.from(
    [
      'preamble',
      '--boundary',
      'Content-Disposition: form-data; name="model"',
      '',
      'whisper-1',
      '--boundary',
      'Content-Disposition: form-data; name="empty"',
      '',
      '',
      '--boundary',
      'Content-Disposition: form-data; name="file"; filename="a name.bin"',
      'Content-Type: application/octet-stream',
      '',
      content,
      '--boundary--',
      'epilogue',
    ].join('\r\n'),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: body.length - 1 }), { maxLength: 40 }),
      async (cuts) => {
        const edges = [0, ...[...new Set(cuts)].sort((left, right) => left - right), body.length]
        const parts = edges.slice(1).map((end, index) => body.subarray(edges[index], end))
        const form = await formOf(parts, 'boundary')
        expect([...form.fields]).toEqual([
          ['model', 'whisper-1'],
          ['empty', ''],
        ])
        expect(form.files).toEqual([{ field: 'file', filename: 'a name.bin', bytes: content.length }])
      },
    ),
    { numRuns: 60 },
  )
})
