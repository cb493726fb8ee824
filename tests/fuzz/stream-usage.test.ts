import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openai } from '../../gateway/src/providers/openai/openai.ts'
import { createMeter } from '../../gateway/src/proxy/meter.ts'
import { StreamTail } from '../../gateway/src/proxy/stream-tail.ts'
import { UsageEventCutter } from '../../gateway/src/proxy/usage-event-cutter.ts'
import { memoryInUse } from '../support/memory.ts'
import { cutAt, cuts } from './chunks.ts'

const runs = { numRuns: 1500 }
const tokens = fc.nat(1_000_000)
const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
const usage = tokens.map((count) => ({ prompt_tokens: count, completion_tokens: 7, total_tokens: count + 7 }))

/** An event and what a stream without it in our request would hold: whether it is there for our usage alone. */
interface TestEvent {
  readonly text: string
  readonly ours: boolean
}

function written(data: string, end: string, head = ''): string {
  return `${head}data: ${data}${end}${end}`
}

const ordinary: fc.Arbitrary<TestEvent> = fc
  .tuple(
    fc.oneof(
      fc.record({ choices: fc.constant([{ delta: { content: 'x' } }]), usage: fc.option(usage) }),
      fc.record({ choices: fc.constant([{ delta: { content: '"choices":[],"usage":{}' } }]) }),
      fc.record({
        choices: fc.constant([]),
        prompt_filter_results: fc.constant([1]),
        usage: fc.constant(null),
      }),
      fc.record({ content: fc.string({ unit: 'grapheme' }), usage: fc.constant('none') }),
      fc.record({ type: fc.constant('response.completed'), response: fc.record({ usage }) }),
    ),
    lineEnd,
    fc.constantFrom('', 'event: x', ': comment', 'id: 7'),
  )
  .map(([value, end, head]) => ({
    text: written(JSON.stringify(value), end, head === '' ? '' : head + end),
    ours: false,
  }))
const odd: fc.Arbitrary<TestEvent> = fc
  .tuple(
    fc.constantFrom('data: [DONE]', 'data: {"usage":', ': ping', 'data:', 'data: {"choices":[]', 'x'),
    lineEnd,
  )
  .map(([text, end]) => ({ text: text + end + end, ours: false }))
const ours: fc.Arbitrary<TestEvent> = fc
  .tuple(usage, lineEnd, fc.boolean(), fc.constantFrom('', 'id: 1'))
  .map(([value, end, spaced, head]) => ({
    text: written(
      JSON.stringify({ id: 'c', choices: [], usage: value }, null, spaced ? ' ' : undefined).replaceAll(
        '\n',
        ' ',
      ),
      end,
      head === '' ? '' : head + end,
    ),
    ours: true,
  }))
const events = fc.array(fc.oneof(ordinary, ordinary, odd, ours), { maxLength: 8 })
const partial = fc.constantFrom('', 'data: {"id":1', 'data: x\n', ': ')

function text(all: readonly TestEvent[]): string {
  return all.map((event) => event.text).join('')
}

test('of a stream, only the events with usage and without choices are cut, however it comes', () => {
  fc.assert(
    fc.property(events, partial, cuts, (all, rest, places) => {
      const cutter = new UsageEventCutter()
      const chunks = cutAt(Buffer.from(text(all) + rest), places)
      const out = Buffer.concat([...chunks.map((chunk) => cutter.push(chunk)), cutter.end()])
      expect(out.toString()).toBe(text(all.filter((event) => !event.ours)) + rest)
    }),
    runs,
  )
})

test('an event goes on as soon as its last byte has come', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(ordinary, odd), { maxLength: 8 }), cuts, (all, places) => {
      const cutter = new UsageEventCutter()
      let came = ''
      let went = ''
      for (const chunk of cutAt(Buffer.from(text(all)), places)) {
        came += chunk.toString('latin1')
        went += cutter.push(chunk).toString('latin1')
        expect(went).toBe(came.slice(0, wholeEvents(came)))
      }
    }),
    runs,
  )
})

test('usage is what the newest event tells, for a stream cut anywhere', () => {
  fc.assert(
    fc.property(events, partial, cuts, (all, rest, places) => {
      const bytes = Buffer.from(text(all) + rest)
      expect(meter('text/event-stream', cutAt(bytes, places))).toEqual(newestUsage(text(all) + rest))
    }),
    runs,
  )
})

test('the usage at the end of a long stream is found, whatever the size of the last events', () => {
  const big = fc.integer({ min: 1, max: 60_000 }).map((size) => `data: {"x":"${'y'.repeat(size)}"}\n\n`)
  fc.assert(
    fc.property(fc.array(big, { maxLength: 4 }), big, usage, cuts, (before, last, value, places) => {
      const all = `${before.join('')}${written(JSON.stringify({ usage: value }), '\n')}${last}`
      const found = meter('text/event-stream', cutAt(Buffer.from(all), places))
      expect(found).toMatchObject({ usage: { inputTokens: value.prompt_tokens } })
    }),
    { numRuns: 200 },
  )
})

test('the usage of a JSON answer of any size is what JSON.parse finds', () => {
  const long = fc.nat(90_000).map((size) => '}'.repeat(size))
  const answer = fc.record(
    {
      object: fc.string(),
      created: fc.nat(),
      data: long.map((text) => ['usage', text]),
      output: long.map((text) => [{ type: 'file_search_call', text }]),
      tools: fc.constant([{ type: 'code_interpreter' }]),
      service_tier: fc.constant('flex'),
      usage: fc.option(usage),
      model: fc.string({ unit: 'grapheme' }),
    },
    { requiredKeys: ['usage'] },
  )
  fc.assert(
    fc.property(answer, fc.boolean(), cuts, (value, indented, places) => {
      const bytes = Buffer.from(JSON.stringify(value, null, indented ? 2 : undefined))
      expect(meter('application/json', cutAt(bytes, places))).toEqual(openai.read(value))
    }),
    { numRuns: 300 },
  )
})

test('bytes that are no event stream and no JSON neither throw nor tell usage', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), cuts, (bytes, places) => {
      const chunks = cutAt(Buffer.from(bytes), places)
      expect(meter('text/event-stream', chunks)).toBeNull()
      expect(meter('application/json', chunks)).toBeNull()
    }),
  )
})

const mebibytes = 4
const hostile: readonly (readonly [string, string, number])[] = [
  ['carriage returns', '\r', 65_536],
  ['line feeds', '\n', 65_536],
  ['both', '\r\n', 65_536],
  ['events that begin like one with usage', 'data: {"choices":[],"usage":{\r\r', 65_536],
  ['events with usage, each of them', 'data: {"choices":[],"usage":{}}\n\n', 65_536],
  ['tiny events that are no JSON', 'data:{\r\r', 65_536],
  ['very many events at once', 'data: {"choices":[],"usage":{}}\n\n', 4 * 2 ** 20],
  ['lines of data without an end', 'data:{"usage":{\r', 65_536],
  ['the name alone', '"usage"', 65_536],
  ['brackets', '[{"usage":{},"a":', 65_536],
  ['one byte at a time of one event', 'x', 1],
  ['one byte at a time of many', 'data: {"choices":[],"usage":{}}\r\n\r\n', 1],
]

test.each(hostile)(
  'a hostile stream costs time by its bytes, and no more than that: %s',
  (_title, text, size) => {
    const bytes = Buffer.alloc(size === 1 ? 2 ** 20 : mebibytes * 2 ** 20, text)
    const cutter = new UsageEventCutter()
    const reader = createMeter(openai, 'text/event-stream', false)
    const began = performance.now()
    for (let at = 0; at < bytes.length; at += size) {
      const chunk = bytes.subarray(at, at + size)
      cutter.push(chunk)
      reader?.push(chunk)
    }
    cutter.end()
    reader?.read()
    expect(performance.now() - began).toBeLessThan(3_000)
  },
)

test('an event that nobody would wait for is not kept, and usage behind it is found', () => {
  const tail = new StreamTail()
  for (let count = 0; count < 20; count++) tail.push(Buffer.alloc(2 ** 20, 'x'))
  tail.push(Buffer.from(`\n\n${written('{"usage":{"prompt_tokens":3}}', '\n')}`))
  expect([...tail.usageEvents()]).toEqual([{ usage: { prompt_tokens: 3 } }])
})

test('usage is found before several events that come behind it, within 4 KiB of the end', () => {
  const tail = new StreamTail()
  const filler = Buffer.from(written(JSON.stringify({ text: 'x'.repeat(700) }), '\n'))
  for (let count = 0; count < 100; count++) tail.push(filler)
  tail.push(Buffer.from(written('{"usage":{"prompt_tokens":3}}', '\n')))
  for (let count = 0; count < 5; count++) tail.push(filler)
  expect([...tail.usageEvents()]).toEqual([{ usage: { prompt_tokens: 3 } }])
})

test('an answer in chunks of one byte is kept in little more memory than its bytes', () => {
  const size = 60_000
  const kept = (keep: (chunk: Buffer) => void) => {
    const before = memoryInUse()
    // As undici gives them: each a view of what one read brought.
    for (let at = 0; at < size; at++) keep(Buffer.from(new ArrayBuffer(64)).subarray(0, 1))
    return memoryInUse() - before
  }
  const keepers = [
    createMeter(openai, 'application/json', false),
    createMeter(openai, 'text/event-stream', false),
    new UsageEventCutter(),
  ]
  for (const keeper of keepers) expect(kept((chunk) => void keeper?.push(chunk))).toBeLessThan(60 * size)
})

function meter(mediaType: string, chunks: readonly Buffer[]) {
  const reader = createMeter(openai, mediaType, false)
  for (const chunk of chunks) reader?.push(chunk)
  return reader?.read()
}

/** As a reader of the whole text does it: event by event, the newest one that tells usage. */
function newestUsage(stream: string) {
  const readings = stream.split(/\r\n\r\n|\n\n|\r\r/).map((event) => {
    const data = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'))
    try {
      return openai.read(JSON.parse(data.map((line) => line.slice(5)).join('\n')))
    } catch {
      return null
    }
  })
  return readings.findLast((reading) => reading !== null) ?? null
}

/** A carriage return that comes last may be half of a line end, unless the line before it ended so. */
function wholeEvents(latin1: string): number {
  const ends = [...latin1.matchAll(/(?:\r\n|\n|\r(?=[^\n])|\r(?=\r))(?:\r\n|\n|\r(?!\n))/g)]
  return (
    ends
      .map((match) => match.index + match[0].length)
      .findLast((end) => end < latin1.length || !latin1.endsWith('\n\r')) ?? 0
  )
}
