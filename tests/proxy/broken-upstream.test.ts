import OpenAI from 'openai'
import { afterAll, expect, test } from 'vitest'
import { answerBytes, event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, codeOf, connectTo, head, sdk } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'
const messages = [{ role: 'user' as const, content: 'Say hello.' }]
const delta = event({ id: 'c', choices: [{ index: 0, delta: { content: 'Hel' } }] })
const streamHead = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

test.each(['close', 'reset'] as const)(
  'a stream whose connection ends by %s between events gets an error event and no clean end',
  async (end) => {
    const upstream = await startFakeUpstream(answerBytes(streamHead + chunk(delta), end))
    const key = await gateway.keyFor(upstream)
    const answer = await askJson(
      gateway.url,
      chat,
      { stream: true, stream_options: { include_usage: true } },
      { key },
    )
    expect(answer.status).toBe(200)
    expect(answer.complete).toBe(false)
    const [first = '', second = ''] = answer.body.toString().split('\n\n')
    expect(`${first}\n\n`).toBe(delta)
    expect(JSON.parse(second.slice('data: '.length))).toMatchObject({
      error: { code: 'upstream_unreachable' },
    })
    const [record] = await gateway.records(key)
    expect(record).toMatchObject({ status: 200, truncated: true, disconnected: false, usageMissing: true })
  },
)

test('a stream that breaks inside an event gets no error event and no clean end', async () => {
  const part = delta.slice(0, 20)
  const upstream = await startFakeUpstream(answerBytes(streamHead + chunk(part), 'close'))
  const key = await gateway.keyFor(upstream)
  const body = { stream: true, stream_options: { include_usage: true } }
  const answer = await askJson(gateway.url, chat, body, { key })
  expect(answer.complete).toBe(false)
  expect(answer.body.toString()).toBe(part)
})

test('an HTTP/1.0 client, whose protocol ends a body with the connection, sees a reset', async () => {
  const upstream = await startFakeUpstream(answerBytes(streamHead + chunk(delta.slice(0, 20)), 'close'))
  const key = await gateway.keyFor(upstream)
  const { socket, ended } = connectTo(gateway.url)
  let code: unknown = null
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code
  })
  const body = '{"stream":true,"stream_options":{"include_usage":true}}'
  const headers = { authorization: `Bearer ${key.token}`, 'content-type': 'application/json' }
  const request = head('POST', chat, { ...headers, 'content-length': body.length })
  socket.write(request.replace('HTTP/1.1', 'HTTP/1.0') + body)
  await ended
  expect(code).toBe('ECONNRESET')
})

test('where usage is hidden, half an event is held back and the error event follows whole ones', async () => {
  const upstream = await startFakeUpstream(
    answerBytes(streamHead + chunk(delta + delta.slice(0, 20)), 'close'),
  )
  const key = await gateway.keyFor(upstream)
  const answer = await askJson(gateway.url, chat, { stream: true }, { key })
  expect(answer.complete).toBe(false)
  expect(answer.body.toString().split('\n\n')).toEqual([
    delta.trimEnd(),
    expect.stringMatching(/^data: {"error":.*}$/),
    '',
  ])
})

test('the SDK raises where a chat stream breaks, and has what came before', async () => {
  const upstream = await startFakeUpstream(answerBytes(streamHead + chunk(delta), 'reset'))
  const client = sdk(gateway, await gateway.keyFor(upstream))
  const stream = await client.chat.completions.create({ model: 'm', messages, stream: true })
  let text = ''
  const read = async () => {
    for await (const part of stream) text += part.choices[0]?.delta.content ?? ''
  }
  await expect(read()).rejects.toThrow(OpenAI.APIError)
  expect(text).toBe('Hel')
})

test('the SDK raises where a stream of a response breaks', async () => {
  const created = event({ type: 'response.created', response: { id: 'r' } }, 'response.created')
  const upstream = await startFakeUpstream(answerBytes(streamHead + chunk(created), 'close'))
  const client = sdk(gateway, await gateway.keyFor(upstream))
  const stream = await client.responses.create({ model: 'm', input: 'x', stream: true })
  const types: string[] = []
  const read = async () => {
    for await (const part of stream) types.push(part.type)
  }
  await expect(read()).rejects.toThrow('broke off')
  expect(types).toEqual(['response.created'])
})

const json = 'content-type: application/json\r\n'
const long = 'x'.repeat(100_000)

test.each([
  ['a short body with content-length', `HTTP/1.1 200 OK\r\n${json}content-length: 100\r\n\r\n{"half":`],
])('%s that breaks is a 502, since nothing of it was passed on', async (_title, bytes) => {
  const upstream = await startFakeUpstream(answerBytes(bytes, 'close'))
  const key = await gateway.keyFor(upstream, { retries: 3 })
  const answer = await askJson(gateway.url, chat, {}, { key })
  expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
  // It had begun to answer, so it may have done the work: it must not be asked again.
  expect(upstream.requests).toHaveLength(1)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 502, code: 'upstream_unreachable', attempts: 1, inputTokens: null })
})

test.each([
  ['a long body with content-length', `HTTP/1.1 200 OK\r\n${json}content-length: 200000\r\n\r\n"${long}`],
  ['a chunked body', `HTTP/1.1 200 OK\r\n${json}transfer-encoding: chunked\r\n\r\n${chunk('{"half":')}`],
  [
    'a body with a malformed chunk',
    `HTTP/1.1 200 OK\r\n${json}transfer-encoding: chunked\r\n\r\n${chunk('{}')}zz\r\n`,
  ],
])('%s that breaks never ends cleanly', async (_title, bytes) => {
  const upstream = await startFakeUpstream(answerBytes(bytes, 'close'))
  const key = await gateway.keyFor(upstream)
  const answer = await askJson(gateway.url, chat, {}, { key }).catch(() => null)
  expect(answer?.complete ?? false).toBe(false)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ truncated: true, usageMissing: true })
})

test('a stream that breaks behind an event whose end came in two pieces gets an error event', async () => {
  const upstream = await startFakeUpstream(async ({ response, socket }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta.slice(0, -1))
    await read
    response.write('\n', () => socket.resetAndDestroy())
  })
  const key = await gateway.keyFor(upstream)
  const { socket, until, ended } = connectTo(gateway.url)
  const body = '{"stream":true,"stream_options":{"include_usage":true}}'
  const headers = { authorization: `Bearer ${key.token}`, 'content-type': 'application/json' }
  socket.write(head('POST', chat, { ...headers, 'content-length': body.length }) + body)
  const read = until('Hel')
  expect((await ended).toString()).toContain('data: {"error":')
})

test.each([
  ['bytes that are no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n'],
  [
    'a 100 that nobody asked for',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
  ],
  ['a transfer coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  [
    'a transfer coding in a line of its own',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  ],
  ['two lengths that differ', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
  [
    'a length and chunks',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  [
    'an upgrade that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
  ],
  ['no bytes at all', ''],
  ['a control character in a header', 'HTTP/1.1 200 OK\r\nx-a: a\u0001b\r\ncontent-length: 0\r\n\r\n'],
  ['a header that has no name', 'HTTP/1.1 200 OK\r\n: a\r\ncontent-length: 0\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 What\r\ncontent-length: 0\r\n\r\n'],
])('an upstream that answers with %s is a 502', async (_title, bytes) => {
  const upstream = await startFakeUpstream(answerBytes(bytes, 'close'))
  const key = await gateway.keyFor(upstream)
  const answer = await ask(gateway.url, '/v1/files', { key })
  expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 502, code: 'upstream_unreachable', attempts: 1 })
})
