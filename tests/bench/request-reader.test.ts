import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RequestReader } from '../../bench/provider/request-reader.ts'
import { readWishes, wishText } from '../../bench/provider/wishes.ts'

const requests = [
  'POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nfirst',
  'POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nthird',
]

test('each request is found once, however its bytes are cut', () => {
  const bytes = Buffer.from(requests.join(''))
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30 }), (lengths) => {
      const bodies: string[] = []
      const reader = new RequestReader((body) => bodies.push(body.toString()))
      let at = 0
      for (const length of [...lengths, bytes.length]) {
        reader.push(bytes.subarray(at, at + length))
        at += length
      }
      expect(bodies).toHaveLength(3)
      expect(bodies[0]).toContain('first')
      expect(bodies[1]).toContain('second')
      expect(bodies[2]).toContain('third')
    }),
  )
})

test('what a body asks for is read out of any spelling of it', () => {
  const body = (fields: object, space = 0) => Buffer.from(JSON.stringify(fields, null, space))
  const wish = { stream: true, stream_options: { include_usage: true }, user: wishText(30, 100) }
  const read = { stream: true, includeUsage: true, events: 30, pace: 100 }
  expect(readWishes(body(wish))).toEqual(read)
  expect(readWishes(body(wish, 2))).toEqual(read)
  expect(readWishes(body({ stream: false })).stream).toBe(false)
  expect(readWishes(body({ model: 'm' })).stream).toBe(false)
})
