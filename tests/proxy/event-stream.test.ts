import { expect, test } from 'vitest'
import {
  beginning,
  endsEvent,
  eventValue,
  lastEventEnd,
  mentionsUsage,
  streamEnding,
} from '../../gateway/src/proxy/event-stream.ts'

test.each([
  ['data: x\n\n', 9],
  ['data: x\r\n\r\n', 11],
  ['data: x\r\r', 9],
  ['data: x\r\n\n', 10],
  ['data: x\n\r\n', 10],
  ['data: x\r\r\n', 10],
  ['data: x\n\ndata: y', 9],
  ['data: x\n\rdata: y', 9],
  ['data: x\r\n\rdata: y', 10],
  ['\n\n', 2],
])('an empty line ends an event, whatever ends the line: %j', (text, end) => {
  expect(lastEventEnd(Buffer.from(text))).toBe(end)
})

test.each(['', 'data: x', 'data: x\n', 'data: x\r', 'data: x\r\n', '\r\n', 'a\nb\rc\r\nd', 'data: x\r\n\r'])(
  'what has no empty line, or may be in the middle of its end, is no event yet: %j',
  (text) => {
    expect(lastEventEnd(Buffer.from(text))).toBe(-1)
  },
)

test('the search for an event’s end stops where it is told to', () => {
  const bytes = Buffer.from('a\n\nb\n\n')
  expect(lastEventEnd(bytes, 3)).toBe(6)
  expect(lastEventEnd(bytes, 3, 5)).toBe(-1)
  expect(lastEventEnd(bytes, 0, 5)).toBe(3)
})

test.each([
  ['', true],
  ['data: x\n\n', true],
  ['data: x\r\n\r\n', true],
  ['data: x\r\r', true],
  ['data: x\r\n\r', true],
  ['data: x\n', false],
  ['data: x\r\n', false],
  ['data: x', false],
])('a stream stands between events behind %j, however it came: %s', (text, expected) => {
  const bytes = Buffer.from(text)
  expect(endsEvent(streamEnding(beginning, bytes))).toBe(expected)
  let ending = beginning
  for (let at = 0; at < bytes.length; at++) ending = streamEnding(ending, bytes.subarray(at, at + 1))
  expect(endsEvent(ending)).toBe(expected)
})

test.each([
  ['data: {"a":1}\n\n', { a: 1 }],
  ['data:{"a":1}\r\r', { a: 1 }],
  [': comment\r\nevent: x\r\ndata: {"a":1}\r\nid: 3\r\n\r\n', { a: 1 }],
  ['data: {"a":\ndata: 1}\n\n', { a: 1 }],
  ['data: {"a":"\u2028"}\n\n', { a: '\u2028' }],
  ['data: [DONE]\n\n', undefined],
  ['event: x\n\n', undefined],
  ['xdata: {"a":1}\n\n', undefined],
  [`${'data: 1\n'.repeat(1000)}\n`, undefined],
])('the value of an event is the JSON of its data lines: %j', (text, value) => {
  expect(eventValue(Buffer.from(text))).toEqual(value)
})

test('of an event that is large and made of tiny values, none is read', () => {
  const large = (value: string) => Buffer.from(`data: {"usage":{"a":1},"b":${value}}\n\n`)
  expect(eventValue(large('['.repeat(2 ** 20)))).toBeUndefined()
  expect(eventValue(large(`[${'0,'.repeat(2 ** 20)}0]`))).toBeUndefined()
  expect(eventValue(large(`"${'[,'.repeat(2 ** 20)}"`))).toMatchObject({ usage: { a: 1 } })
})

test.each([
  ['{"usage":{}}', true],
  ['{"usage" \t\r\n: \n{', true],
  ['{"usage":null,"x":{"usage":{"a":1}}}', true],
  ['{"usage":null}', false],
  ['{"content":"\\"usage\\":{}"}', false],
  ['{"a":"usage"}', false],
  ['"usage"', false],
  ['"usage":', false],
])('usage is mentioned where an object stands behind its name: %j %s', (text, expected) => {
  expect(mentionsUsage(Buffer.from(text))).toBe(expected)
})
