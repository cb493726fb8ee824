import { once } from 'node:events'
import { afterAll, expect, test } from 'vitest'
import { startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { connectTo, head } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const total = 96 * 2 ** 20
const piece = Buffer.alloc(64 * 1024, 'x')
/** Far above what the kernel buffers on two loopback connections, far below `total`. */
const mostBuffered = 48 * 2 ** 20
const stillMs = 300

/** Resolves with the count once it has not grown for a while: the writer waits for its reader. */
async function settled(count: () => number): Promise<number> {
  for (let last = -1; ; ) {
    const now = count()
    if (now === last && now > 0) return now
    last = now
    await new Promise((resolve) => setTimeout(resolve, stillMs))
  }
}

interface Sink {
  write(chunk: Buffer): boolean
  once(event: 'drain', listener: () => void): unknown
}

/** Writes `total` bytes as fast as the reader lets it, and tells how many so far. */
function pour(sink: Sink): { written(): number; readonly done: Promise<void> } {
  let written = 0
  const done = new Promise<void>((resolve) => {
    const go = () => {
      while (written < total) {
        written += piece.length
        if (!sink.write(piece)) {
          sink.once('drain', go)
          return
        }
      }
      resolve()
    }
    go()
  })
  return { written: () => written, done }
}

test.each([
  ['a binary answer', '/v1/files/f/content', 'application/octet-stream'],
  ['a metered stream', '/v1/responses', 'text/event-stream'],
])('a client that reads slowly makes the provider wait: %s', async (_title, target, type) => {
  const begun = Promise.withResolvers<ReturnType<typeof pour>>()
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': type, 'content-length': total })
    begun.resolve(pour(response))
  })
  const key = await gateway.keyFor(upstream)
  const { socket, until } = connectTo(gateway.url)
  const authorization = `Bearer ${key.token}`
  socket.write(head('POST', target, { authorization, 'content-length': 0 }))
  await until('\r\n\r\n')
  socket.pause()
  const pouring = await begun.promise
  expect(await settled(pouring.written)).toBeLessThan(mostBuffered)
  socket.removeAllListeners('data')
  let received = 0
  const all = new Promise<void>((resolve) =>
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received > total - mostBuffered) resolve()
    }),
  )
  socket.resume()
  await pouring.done
  await all
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ responseBytes: total, disconnected: false, truncated: false })
})

test('a provider that reads slowly makes the client wait with its upload', async () => {
  const upstream = await startFakeUpstream(
    async ({ request, response }) => {
      await resume.promise
      await request.whole()
      response.writeHead(200).end()
    },
    { reads: false },
  )
  const resume = Promise.withResolvers<void>()
  const key = await gateway.keyFor(upstream)
  const { socket, until } = connectTo(gateway.url)
  const arrived = upstream.next()
  socket.write(
    head('POST', '/v1/files', {
      authorization: `Bearer ${key.token}`,
      'content-type': 'application/octet-stream',
      'content-length': total,
    }),
  )
  await once(socket, 'connect')
  const pouring = pour(socket)
  await arrived
  expect(await settled(pouring.written)).toBeLessThan(mostBuffered)
  resume.resolve()
  await until('\r\n\r\n')
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 200, requestBytes: total })
})
