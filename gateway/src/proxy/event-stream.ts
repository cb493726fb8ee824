import { parseModestJson } from './modest-json.ts'

/** Line feed and carriage return: a line ends with either, or with both in this order. */
const lf = 0x0a
const cr = 0x0d
const colon = 0x3a
const space = 0x20

/**
 * Behind the last event of `bytes` that ends behind `after`, up to `until`; -1 where none does. An empty line ends
 * an event (WHATWG HTML, section 9.2.5). A carriage return that comes last may be half of a line end: it counts as a
 * whole one where the line before it ended so, too.
 */
export function lastEventEnd(bytes: Buffer, after = 0, until = bytes.length): number {
  for (let end = until; end > after; end--) {
    const byte = bytes[end - 1]
    if ((byte === lf || byte === cr) && isEventEnd(bytes, end)) return end
  }
  return -1
}

function isEventEnd(bytes: Buffer, end: number): boolean {
  if (bytes[end - 1] === lf) return isLineEnd(bytes[bytes[end - 2] === cr ? end - 3 : end - 2])
  if (end === bytes.length) return bytes[end - 2] === cr
  return bytes[end] !== lf && isLineEnd(bytes[end - 2])
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === lf || byte === cr
}

/** How a stream ends that has not begun: an event may stand there. To be used with `streamEnding`. */
export const beginning = (lf << 8) | lf

/** The last three bytes of a stream as a number, given those before `bytes`. */
export function streamEnding(before: number, bytes: Buffer): number {
  let ending = before
  for (let at = Math.max(0, bytes.length - 3); at < bytes.length; at++)
    ending = ((ending << 8) | (bytes[at] ?? 0)) & 0xffffff
  return ending
}

/** Whether a stream with these last three bytes stands between two events. */
export function endsEvent(ending: number): boolean {
  const last = ending & 0xff
  const beforeLast = (ending >> 8) & 0xff
  if (last === lf && beforeLast === cr) return isLineEnd(ending >> 16)
  return isLineEnd(last) && isLineEnd(beforeLast)
}

/** The JSON that one event carries in its `data` lines; undefined for what is none, or is beyond all measure. */
export function eventValue(event: Buffer): unknown {
  const data: Buffer[] = []
  // Between the bytes of a CRLF there is one more empty line this way, which says nothing.
  for (let start = 0, end = 0; start < event.length; start = end + 1) {
    end = lineEnd(event, start)
    if (!isDataLine(event, start)) continue
    if (data.length === mostDataLines) return undefined
    data.push(event.subarray(event[start + 5] === space ? start + 6 : start + 5, end))
  }
  if (data.length === 0) return undefined
  return parseModestJson(data.length === 1 && data[0] !== undefined ? data[0] : joined(data))
}

/** A JSON value on several lines is lawful, and nobody sends it: a few lines are put together, no more. */
const mostDataLines = 64

function lineEnd(event: Buffer, start: number): number {
  let end = start
  while (end < event.length && event[end] !== lf && event[end] !== cr) end++
  return end
}

function isDataLine(event: Buffer, start: number): boolean {
  return event[start + 4] === colon && event.toString('latin1', start, start + 4) === 'data'
}

function joined(lines: readonly Buffer[]): Buffer {
  return Buffer.concat(lines.flatMap((line) => [line, Buffer.of(lf)]))
}

/**
 * Whether `"usage"` stands in these bytes with an object behind it. Providers write `"usage":null` into each event of
 * a stream but the last, so this saves parsing them.
 */
export function mentionsUsage(bytes: Buffer): boolean {
  for (let at = bytes.indexOf(usageName); at !== -1; at = bytes.indexOf(usageName, at)) {
    at = afterSpace(bytes, at + usageName.length)
    if (bytes[at] === colon && bytes[afterSpace(bytes, at + 1)] === openObject) return true
  }
  return false
}

const usageName = '"usage"'
const openObject = 0x7b

/** JSON's white space. */
function afterSpace(bytes: Buffer, from: number): number {
  let at = from
  while (bytes[at] === space || bytes[at] === 0x09 || isLineEnd(bytes[at])) at++
  return at
}
