import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { event, startFakeUpstream, type UpstreamHandler } from '../support/fake-upstream.ts'
import { startTestGateway, type TestKey } from '../support/gateway.ts'
import { type BareConnection, connectTo, head } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const delta = event({ choices: [{ delta: { content: 'Hel' } }] })
const usage = { prompt_tokens: 7, completion_tokens: 9 }
const usageEvent = event({ model: 'm-1', choices: [], usage })

function post(key: TestKey, target: string, body: string, type = 'application/json'): BareConnection {
  const connection = connectTo(gateway.url)
  const authorization = `Bearer ${key.token}`
  connection.socket.write(
    head('POST', target, { authorization, 'content-type': type, 'content-length': body.length }) + body,
  )
  return connection
}

/** Closes a connection and lets the gateway, in this process, read that it has closed. */
async function leave({ socket }: BareConnection): Promise<void> {
  socket.destroy()
  await heard()
}

/** Lets the gateway read what was sent: nothing tells when it has, so there is no event to wait for. */
async function heard(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await turn()
  await sleep(100)
}

/** Answers a stream's head and first event, and goes on when told to. */
function stream(gone: Promise<unknown>, rest: readonly string[], end = true): UpstreamHandler {
  return async ({ request, response }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta)
    await gone
    for (const part of rest) response.write(part)
    if (end) response.end()
  }
}

test.each([
  ['hidden', '{"stream":true}'],
  ['shown', '{"stream":true,"stream_options":{"include_usage":true}}'],
])(
  'a stream that ends soon after its client left is recorded with exact usage (%s)',
  async (_title, body) => {
    const gone = Promise.withResolvers<void>()
    const upstream = await startFakeUpstream(stream(gone.promise, [delta, usageEvent, 'data: [DONE]\n\n']))
    const key = await gateway.keyFor(upstream)
    const connection = post(key, '/v1/chat/completions', body)
    await connection.until('Hel')
    await leave(connection)
    gone.resolve()
    const [record] = await gateway.records(key)
    expect(record).toMatchObject({
      status: 200,
      code: null,
      disconnected: true,
      usageMissing: false,
      truncated: false,
      inputTokens: 7,
      outputTokens: 9,
    })
  },
)

test('a stream of a response that ends soon after its client left is recorded with exact usage', async () => {
  const gone = Promise.withResolvers<void>()
  const created = event({ type: 'response.created', response: { usage: null } }, 'response.created')
  const completed = { model: 'm-1', usage: { input_tokens: 7, output_tokens: 9 } }
  const end = event({ type: 'response.completed', response: completed }, 'response.completed')
  const upstream = await startFakeUpstream(stream(gone.promise, [created, end]))
  const key = await gateway.keyFor(upstream)
  const connection = post(key, '/v1/responses', '{"stream":true}')
  await connection.until('Hel')
  await leave(connection)
  gone.resolve()
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({
    status: 200,
    disconnected: true,
    usageMissing: false,
    responseModel: 'm-1',
    inputTokens: 7,
    outputTokens: 9,
  })
})

test('an answer that comes after its client left is recorded with exact usage', async () => {
  const gone = Promise.withResolvers<void>()
  const upstream = await startFakeUpstream(async ({ response }) => {
    await gone.promise
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ usage }))
  })
  const key = await gateway.keyFor(upstream)
  const arrived = upstream.next()
  const connection = post(key, '/v1/chat/completions', '{}')
  await arrived
  await leave(connection)
  gone.resolve()
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 200, disconnected: true, usageMissing: false, outputTokens: 9 })
})

test('an error that comes after its client left is recorded as that error, without usage to miss', async () => {
  const gone = Promise.withResolvers<void>()
  const upstream = await startFakeUpstream(async ({ response }) => {
    await gone.promise
    response.writeHead(429).end()
  })
  const key = await gateway.keyFor(upstream, { retries: 5 })
  const arrived = upstream.next()
  const connection = post(key, '/v1/chat/completions', '{}')
  await arrived
  await leave(connection)
  gone.resolve()
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 429, disconnected: true, usageMissing: false, attempts: 1 })
})

test('a stream that goes on for more than 1 MiB after its client left is cut, its usage missing', async () => {
  const gone = Promise.withResolvers<void>()
  const long = event({ choices: [{ delta: { content: 'x'.repeat(100_000) } }] })
  const upstream = await startFakeUpstream(stream(gone.promise, Array(30).fill(long), false))
  const key = await gateway.keyFor(upstream)
  const connection = post(key, '/v1/chat/completions', '{"stream":true}')
  await connection.until('Hel')
  await leave(connection)
  gone.resolve()
  await upstream.requests[0]?.closed
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ disconnected: true, usageMissing: true, inputTokens: null })
  expect(record?.responseBytes).toBeLessThan(1.5 * 2 ** 20)
})

test('a stream that has not ended 10 s after its client left is cut, its usage missing', async () => {
  const never = new Promise(() => undefined)
  const upstream = await startFakeUpstream(stream(never, []))
  const key = await gateway.keyFor(upstream)
  const connection = post(key, '/v1/chat/completions', '{"stream":true}')
  await connection.until('Hel')
  const left = performance.now()
  await leave(connection)
  await upstream.requests[0]?.closed
  const seconds = (performance.now() - left) / 1000
  expect(seconds).toBeGreaterThan(9.5)
  expect(seconds).toBeLessThan(20)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ disconnected: true, usageMissing: true })
})

test.each([
  ['before the answer', 499],
  ['in the middle of it', 200],
] as const)(
  'an unmetered request ends at once at the provider when its client leaves %s',
  async (when, status) => {
    const upstream = await startFakeUpstream(({ response }) => {
      if (when !== 'before the answer') response.writeHead(200).write('Hel')
    })
    const key = await gateway.keyFor(upstream)
    const arrived = upstream.next()
    const connection = post(key, '/v1/audio/speech', '{}')
    const request = await arrived
    if (status === 200) await connection.until('Hel')
    const left = performance.now()
    await leave(connection)
    await request.closed
    expect(performance.now() - left).toBeLessThan(8_000)
    const [record] = await gateway.records(key)
    expect(record).toMatchObject({
      status,
      code: null,
      disconnected: true,
      usageMissing: false,
      truncated: false,
    })
  },
)

test('an upload whose client leaves never becomes a whole request', async () => {
  const upstream = await startFakeUpstream(() => undefined)
  const key = await gateway.keyFor(upstream)
  const arrived = upstream.next()
  const connection = connectTo(gateway.url)
  const authorization = `Bearer ${key.token}`
  const type = 'audio/mpeg'
  connection.socket.write(
    head('POST', '/v1/audio/transcriptions', { authorization, 'content-type': type, 'content-length': 1000 }),
  )
  connection.socket.write('x'.repeat(500))
  const request = await arrived
  await leave(connection)
  await expect(request.whole()).rejects.toThrow('aborted')
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 499, code: null, disconnected: true, requestBytes: 500 })
})

test('a client that leaves while it sends a JSON body reaches no provider and is recorded', async () => {
  const upstream = await startFakeUpstream(() => undefined)
  const key = await gateway.keyFor(upstream)
  const authorization = `Bearer ${key.token}`
  const half = head('POST', '/v1/chat/completions', {
    authorization,
    'content-type': 'application/json',
    'content-length': 1000,
  })
  // The first is gone while its key is still being verified, the second while its body is read.
  for (const warm of [false, true]) {
    const connection = connectTo(gateway.url)
    await new Promise((resolve) => connection.socket.write(`${half}{"model":`, resolve))
    if (warm) await heard()
    connection.socket.destroy()
    const records = await gateway.records(key, warm ? 2 : 1)
    expect(records.at(-1)).toMatchObject({ status: 499, code: null, disconnected: true, attempts: 0 })
  }
  expect(upstream.requests).toHaveLength(0)
})
