import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, codeOf, connectTo, head } from '../support/http-client.ts'

const [gateway, lively] = await Promise.all([
  startTestGateway({
    LATCHKEY_CONNECT_TIMEOUT_MS: '5000',
    LATCHKEY_HEADERS_TIMEOUT_MS: '1000',
    LATCHKEY_IDLE_TIMEOUT_MS: '1000',
    LATCHKEY_TOTAL_TIMEOUT_MS: '10000',
  }),
  // For providers that never fall silent: whatever holds the machine up, it is the total timeout that ends them.
  startTestGateway({
    LATCHKEY_HEADERS_TIMEOUT_MS: '4000',
    LATCHKEY_IDLE_TIMEOUT_MS: '4000',
    LATCHKEY_TOTAL_TIMEOUT_MS: '6000',
  }),
])
afterAll(() => Promise.all([gateway.stop(), lively.stop()]))

const chat = '/v1/chat/completions'
const delta = event({ choices: [{ delta: { content: 'Hel' } }] })
// Nothing that has timed out may be asked again: the provider may be at work on it.
const retries = 3
const timeout = { status: 504, code: 'upstream_timeout', attempts: 1, disconnected: false }

async function timed<Result>(
  work: Promise<Result>,
): Promise<{ readonly result: Result; readonly ms: number }> {
  const started = performance.now()
  return { result: await work, ms: performance.now() - started }
}

test('a provider that sends no status within the headers timeout is a 504, and is not asked again', async () => {
  const upstream = await startFakeUpstream(() => undefined)
  const key = await gateway.keyFor(upstream, { retries })
  const { result, ms } = await timed(askJson(gateway.url, chat, {}, { key }))
  expect([result.status, codeOf(result)]).toEqual([504, 'upstream_timeout'])
  expect(ms).toBeGreaterThan(900)
  expect(ms).toBeLessThan(9_900)
  expect(upstream.requests).toHaveLength(1)
  await upstream.requests[0]?.closed
  expect(await gateway.records(key)).toMatchObject([timeout])
})

test('a connection that is not made within the connect timeout is a 504', async () => {
  // It accepts and never answers the TLS handshake, which is part of connecting.
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  onTestFinished(() => void silent.close())
  const address = silent.address()
  const port = typeof address === 'object' ? address?.port : null
  const hasty = await startTestGateway({ LATCHKEY_CONNECT_TIMEOUT_MS: '500' })
  onTestFinished(() => hasty.stop())
  const key = await hasty.keyFor({ baseUrl: `https://127.0.0.1:${port}/v1` })
  const { result, ms } = await timed(ask(hasty.url, '/v1/models', { key }))
  expect([result.status, codeOf(result)]).toEqual([504, 'upstream_timeout'])
  expect(ms).toBeLessThan(9_000)
  expect(await hasty.records(key)).toMatchObject([timeout])
})

test('a stream that falls silent breaks for the client too, after an error event', async () => {
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta)
  })
  const key = await gateway.keyFor(upstream, { retries })
  const { result, ms } = await timed(askJson(gateway.url, chat, { stream: true }, { key }))
  expect(result.complete).toBe(false)
  expect(result.body.toString()).toMatch(/^data: {"choices".*}\n\ndata: {"error":.*}\n\n$/)
  expect(ms).toBeLessThan(9_900)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 200, truncated: true, usageMissing: true, attempts: 1 })
})

test('a JSON answer that falls silent before any of it was passed on is a 504', async () => {
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }).write('{')
  })
  const key = await gateway.keyFor(upstream, { retries })
  const answer = await askJson(gateway.url, chat, {}, { key })
  expect([answer.status, codeOf(answer)]).toEqual([504, 'upstream_timeout'])
  expect(upstream.requests).toHaveLength(1)
})

test('a stream that outlasts the total timeout is broken, however lively', async () => {
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const beat = setInterval(() => response.write(delta), 100)
    response.once('close', () => clearInterval(beat))
  })
  const key = await lively.keyFor(upstream)
  const { result, ms } = await timed(askJson(lively.url, chat, { stream: true }, { key }))
  expect(result.complete).toBe(false)
  expect(ms).toBeGreaterThan(5_900)
  expect(ms).toBeLessThan(11_000)
  await upstream.requests[0]?.closed
  const [record] = await lively.records(key)
  expect(record).toMatchObject({ truncated: true, disconnected: false })
})

test('a provider that only says that it is at work is a 504 after the total timeout', async () => {
  const upstream = await startFakeUpstream(({ response }) => {
    const beat = setInterval(() => response.writeProcessing(), 100)
    response.once('close', () => clearInterval(beat))
  })
  const key = await lively.keyFor(upstream, { retries })
  const { result, ms } = await timed(askJson(lively.url, chat, {}, { key }))
  expect([result.status, codeOf(result)]).toEqual([504, 'upstream_timeout'])
  expect(ms).toBeGreaterThan(5_900)
  expect(upstream.requests).toHaveLength(1)
})

const models = Array.from({ length: 60_000 }, (_, index) => ({
  id: `m-${index}`,
  object: 'model',
  owner: 'x'.repeat(60),
}))
test.each([
  ['before its provider has ended', '/v1/files/f/content', {}],
  ['when all is written', '/v1/models', { models: ['m-*'] }],
])(
  'an HTTP/1.0 client that stands still %s is cut off and sees no clean end',
  async (_title, target, policy) => {
    const patient = await startTestGateway({ LATCHKEY_IDLE_TIMEOUT_MS: '1000' })
    const upstream = await startFakeUpstream(({ response }) => {
      response.end(JSON.stringify({ object: 'list', data: models }))
    })
    const key = await patient.keyFor(upstream, policy)
    const { socket, until } = connectTo(patient.url)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    let code: unknown = null
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    const request = head('GET', target, { authorization: `Bearer ${key.token}` })
    socket.write(request.replace('HTTP/1.1', 'HTTP/1.0'))
    await until('\r\n\r\n')
    socket.pause()
    // It ends when nobody is left to be answered, long before its own patience does.
    await patient.stop()
    socket.resume()
    await closed
    expect(code).toBe('ECONNRESET')
  },
)

test('a client that falls silent in the middle of its JSON body is told so and let go', async () => {
  const upstream = await startFakeUpstream(() => undefined)
  const key = await gateway.keyFor(upstream)
  const { socket, until, ended } = connectTo(gateway.url)
  const authorization = `Bearer ${key.token}`
  const type = 'application/json'
  socket.write(head('POST', chat, { authorization, 'content-type': type, 'content-length': 10 }))
  socket.write('{"a":')
  expect(await until('request_timeout')).toMatch(/^HTTP\/1.1 408 /)
  await ended
  expect(upstream.requests).toHaveLength(0)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 408, code: 'request_timeout', attempts: 0 })
})
