import { expect, test } from 'vitest'
import { BodyTap } from '../../gateway/src/capture/body-tap.ts'
import { BoundedMemory } from '../../gateway/src/capture/bounded-memory.ts'
import { mostBodyBytes } from '../../gateway/src/capture/captured-body.ts'

function start(mostBytes = 2 ** 20) {
  const memory = new BoundedMemory(mostBytes)
  return { memory, tap: new BodyTap(memory) }
}

test('a body is kept as it passed, in whatever pieces', () => {
  const { memory, tap } = start()
  tap.begin('application/json', false)
  const body = Buffer.from('0123456789'.repeat(2_000))
  for (let at = 0; at < body.length; at += 777) tap.push(body.subarray(at, at + 777))
  const gathered = tap.take()
  expect(gathered).toMatchObject({ mediaType: 'application/json', bytes: 20_000, truncated: false })
  expect(Buffer.from(gathered?.content ?? [])).toEqual(body)
  expect(memory.taken).toBe(gathered?.held)
  memory.give(gathered?.held ?? 0)
  expect(memory.taken).toBe(0)
})

test('at most 256 KiB are kept of a body, and all of it is counted', () => {
  const { tap } = start()
  tap.begin('text/event-stream', false)
  for (let sent = 0; sent < 10; sent++) tap.push(Buffer.alloc(100_000, `${sent}`))
  const gathered = tap.take()
  expect(gathered).toMatchObject({ bytes: 1_000_000, truncated: true, held: mostBodyBytes })
  expect(gathered?.content).toHaveLength(mostBodyBytes)
})

test('a copy is kept: what becomes of a chunk afterwards does not change it', () => {
  const { tap } = start()
  tap.begin('text/plain', false)
  const chunk = Buffer.from('as it was')
  tap.push(chunk)
  chunk.fill(0)
  expect(Buffer.from(tap.take()?.content ?? []).toString()).toBe('as it was')
})

test.each([
  ['audio/mpeg', false],
  ['image/png', false],
  ['application/octet-stream', false],
  ['', false],
  ['application/json', true],
])('of %s (encoded: %s) only type and length are kept, and no memory is taken', (mediaType, encoded) => {
  const { memory, tap } = start()
  tap.begin(mediaType, encoded)
  tap.push(Buffer.alloc(1_000))
  expect(memory.taken).toBe(0)
  expect(tap.take()).toEqual({ mediaType, bytes: 1_000, content: null, truncated: false, held: 0 })
})

test('an answer that is thrown away for another attempt leaves nothing behind', () => {
  const { memory, tap } = start()
  tap.begin('application/json', false)
  tap.push(Buffer.alloc(50_000, 'a'))
  tap.begin('application/json', false)
  tap.push(Buffer.from('{}'))
  const gathered = tap.take()
  expect(Buffer.from(gathered?.content ?? []).toString()).toBe('{}')
  expect(memory.taken).toBe(gathered?.held)
})

test('where memory runs out a body is let go, and that is counted once', () => {
  const { memory, tap } = start(10_000)
  tap.begin('text/plain', false)
  for (let sent = 0; sent < 100; sent++) tap.push(Buffer.alloc(1_000))
  expect(tap.take()).toBeNull()
  expect([memory.taken, memory.refused]).toEqual([0, 1])
  tap.begin('text/plain', false)
  tap.push(Buffer.from('small'))
  expect(tap.take()?.bytes).toBe(5)
})

test('what was begun and dropped gives its memory back, once', () => {
  const { memory, tap } = start()
  tap.begin('text/plain', false)
  tap.push(Buffer.alloc(100_000))
  tap.drop()
  tap.drop()
  expect(memory.taken).toBe(0)
  expect(tap.take()).toBeNull()
})
