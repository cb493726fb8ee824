import { expect, test } from 'vitest'
import { readTraceContext, traceHeaders } from '../../gateway/src/traces/trace-context.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'
const good = `00-${traceId}-${parentId}-01`

test('a trace context is read as W3C says it is written', () => {
  expect(readTraceContext(['TraceParent', good])).toEqual({ traceId, parentId, sampled: true, state: null })
  expect(readTraceContext(['traceparent', `00-${traceId}-${parentId}-00`])).toMatchObject({ sampled: false })
  // Other flags than the lowest are for later, and so is what follows in later versions.
  expect(readTraceContext(['traceparent', `00-${traceId}-${parentId}-fe`])).toMatchObject({ sampled: false })
  expect(readTraceContext(['traceparent', `cc-${traceId}-${parentId}-01`])).toMatchObject({ sampled: true })
  expect(readTraceContext(['traceparent', `cc-${traceId}-${parentId}-01-more`])).toMatchObject({ parentId })
})

test('the state of several headers is put together, and handed on as it came', () => {
  const raw = ['tracestate', 'a=1', 'traceparent', good, 'TraceState', 'b=2,c=3']
  expect(readTraceContext(raw)).toMatchObject({ state: 'a=1,b=2,c=3' })
  expect(traceHeaders(traceId, parentId, 'a=1,b=2')).toEqual(['traceparent', good, 'tracestate', 'a=1,b=2'])
  expect(traceHeaders(traceId, parentId, null)).toEqual(['traceparent', good])
})

test.each([
  ['none', ''],
  ['a version that never will be', `ff-${traceId}-${parentId}-01`],
  ['upper case', good.toUpperCase()],
  ['no trace', `00-${'0'.repeat(32)}-${parentId}-01`],
  ['no span', `00-${traceId}-${'0'.repeat(16)}-01`],
  ['a short id', `00-${traceId.slice(1)}-${parentId}-01`],
  ['a long id', `00-${traceId}0-${parentId}-01`],
  ['no hexadecimal', `00-${traceId.replace('4', 'g')}-${parentId}-01`],
  ['more than version 00 has', `${good}-more`],
  ['more without a hyphen', `cc-${traceId}-${parentId}-01more`],
  ['a space before it', ` ${good}`],
  ['two in one', `${good},${good}`],
])('a context that can’t be relied on is none: %s', (_, value) => {
  expect(readTraceContext(['traceparent', value, 'tracestate', 'a=1'])).toBeNull()
})

test('two parents are none', () => {
  expect(readTraceContext(['traceparent', good, 'Traceparent', good])).toBeNull()
})
