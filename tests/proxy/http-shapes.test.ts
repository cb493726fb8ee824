import { afterAll, expect, test } from 'vitest'
import { answerBytes, startFakeUpstream, type UpstreamHandler } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, codeOf, connectTo, head, valuesOf } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const nothing: UpstreamHandler = async ({ request, response }) => {
  await request.whole()
  response.writeHead(200).end()
}

test('HEAD is answered with the provider’s head and no body', async () => {
  const upstream = await startFakeUpstream(({ response }) => {
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': '5000000', etag: '"e"' })
      .end()
  })
  const key = await gateway.keyFor(upstream)
  const answer = await ask(gateway.url, '/v1/files/f', { key, method: 'HEAD' })
  expect(answer).toMatchObject({ status: 200, complete: true })
  expect(answer.headers).toMatchObject({ 'content-length': '5000000', etag: '"e"' })
  expect(answer.body).toHaveLength(0)
  expect(upstream.requests[0]?.method).toBe('HEAD')
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ method: 'HEAD', status: 200, responseBytes: 0, truncated: false })
})

test('HEAD of a refusal has no body either', async () => {
  const answer = await ask(gateway.url, '/v1/models', { method: 'HEAD' })
  expect([answer.status, answer.body.length]).toEqual([401, 0])
})

test.each([
  ['204', 'HTTP/1.1 204 No Content\r\nx-request-id: r\r\n\r\n', 204],
  ['304', 'HTTP/1.1 304 Not Modified\r\netag: "e"\r\nx-request-id: r\r\n\r\n', 304],
  ['200 of length 0', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-request-id: r\r\n\r\n', 200],
  [
    '200 of no chunks',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-request-id: r\r\n\r\n0\r\n\r\n',
    200,
  ],
  ['200 up to the end', 'HTTP/1.1 200 OK\r\nconnection: close\r\nx-request-id: r\r\n\r\n', 200],
])('a %s ends, empty, on a connection that serves the next request', async (_title, bytes, status) => {
  const upstream = await startFakeUpstream(answerBytes(bytes, bytes.includes('close') ? 'close' : 'stay'))
  const key = await gateway.keyFor(upstream)
  const { socket, until } = connectTo(gateway.url)
  const request = head('GET', '/v1/files', { authorization: `Bearer ${key.token}` })
  socket.write(request)
  const first = await until('x-request-id: r')
  expect(first).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  await gateway.records(key, 1)
  socket.write(request.replace('/v1/files', '/v1/nowhere/../x'))
  expect(await until('not_found')).toContain('HTTP/1.1 404 ')
})

test('every byte of a short answer arrives as it is', async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  const upstream = await startFakeUpstream(({ response }) =>
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes),
  )
  const answer = await ask(gateway.url, '/v1/files/f/content', { key: await gateway.keyFor(upstream) })
  expect(answer.body.equals(bytes)).toBe(true)
})

test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'PROPFIND', 'OPTIONS'])(
  '%s reaches the provider, with and without a body',
  async (method) => {
    const upstream = await startFakeUpstream(nothing)
    const key = await gateway.keyFor(upstream)
    const body = '{"a": 1}'
    expect((await ask(gateway.url, '/v1/things', { key, method })).status).toBe(200)
    expect((await askJson(gateway.url, '/v1/things', body, { key, method })).status).toBe(200)
    expect(upstream.requests.map((request) => [request.method, request.body().toString()])).toEqual([
      [method, ''],
      [method, body],
    ])
  },
)

test.each(['TRACE', 'CONNECT'])('%s never reaches the provider', async (method) => {
  const upstream = await startFakeUpstream(nothing)
  const key = await gateway.keyFor(upstream)
  const { socket, ended, until } = connectTo(gateway.url)
  socket.write(head(method, '/v1/models', { authorization: `Bearer ${key.token}` }))
  await Promise.race([ended, until('endpoint_not_allowed')])
  expect(upstream.requests).toHaveLength(0)
})

test.each([
  '?',
  '?limit=2&after=a%20b+c',
  '?a=1&a=2&b[]=%7B%22x%22%3A1%7D&c=%zz&d=é'.replace('é', '%C3%A9'),
  '?path=../../x&q=//..\\',
  '?%00%0d%0a',
])('a query string reaches the provider as it was sent: %s', async (query) => {
  const upstream = await startFakeUpstream(nothing)
  const key = await gateway.keyFor(upstream)
  expect((await ask(gateway.url, `/v1/files${query}`, { key })).status).toBe(200)
  expect(upstream.requests[0]?.url).toBe(`/v1/files${query}`)
  const [record] = await gateway.records(key)
  expect(record?.endpoint).toBe('/v1/files')
})

test('a path keeps its percent-encoding, and the base path of the provider key stands before it', async () => {
  const upstream = await startFakeUpstream(nothing)
  const key = await gateway.keyFor({ baseUrl: `http://127.0.0.1:${upstream.port}/some/base/v1` })
  await ask(gateway.url, '/v1/models/ft%3Agpt-4o%3Aorg', { key })
  await ask(gateway.url, '/openai-compatible/v1/files', { key })
  expect(upstream.requests.map(({ url }) => url)).toEqual([
    '/some/base/v1/models/ft%3Agpt-4o%3Aorg',
    '/some/base/v1/files',
  ])
  const records = await gateway.records(key, 2)
  expect(records.map(({ endpoint }) => endpoint)).toEqual(['/v1/models/ft%3Agpt-4o%3Aorg', '/v1/files'])
})

test.each([
  '/v1/../admin',
  '/v1/%2e%2e/x',
  '/v1//x',
  '/v1/x%00',
  '/v1/%252e',
  '/v2/x',
  '/',
  '/v1x',
  '/v1/x\\y',
])('%s is a 404 and reaches no provider', async (target) => {
  const upstream = await startFakeUpstream(nothing)
  const answer = await ask(gateway.url, target, { key: await gateway.keyFor(upstream) })
  expect([answer.status, codeOf(answer)]).toEqual([404, 'not_found'])
  expect(upstream.requests).toHaveLength(0)
})

test.each([
  ['a host that is none', 'GET /v1/models HTTP/1.1\r\nhost: a b\r\n\r\n'],
  ['no host', 'GET /v1/models HTTP/1.1\r\n\r\n'],
  ['no host, of a path that is not the proxy’s', 'GET /readyz HTTP/1.1\r\n\r\n'],
  ['two hosts, of a path that is not the proxy’s', 'GET /key HTTP/1.1\r\nhost: g\r\nhost: h\r\n\r\n'],
  ['no host, in HTTP/1.0', 'GET /v1/models HTTP/1.0\r\n\r\n'],
  ['two hosts', 'GET /v1/models HTTP/1.1\r\nhost: g\r\nHost: g\r\n\r\n'],
  ['two lengths', 'POST /v1/x HTTP/1.1\r\nhost: g\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n'],
  ['no HTTP at all', '\x16\x03\x01 hello\r\n\r\n'],
])('a request with %s is a 400 in the shape of all errors', async (_title, bytes) => {
  const { socket, until } = connectTo(gateway.url)
  socket.write(bytes)
  const answer = await until('"code":"invalid_request"')
  expect(answer).toMatch(/^HTTP\/1.1 400 /)
})

test.each(['gateway', 'GATEWAY.example:8080', 'my_gateway:1', '203.0.113.7', '[::1]:8080', 'gateway:'])(
  'the host %s is one',
  async (host) => {
    const { socket, until } = connectTo(gateway.url)
    socket.write(`GET /v1/models HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
    expect(await until('"code":"missing_api_key"')).toMatch(/^HTTP\/1.1 401 /)
  },
)

test('a path of a provider that the key is not bound to is a 403, and of none that we know a 404', async () => {
  const upstream = await startFakeUpstream(nothing)
  const key = await gateway.keyFor(upstream)
  expect(codeOf(await ask(gateway.url, '/openai/v1/files', { key }))).toBe('permission_denied')
  expect(codeOf(await ask(gateway.url, '/nobody/v1/files', { key }))).toBe('not_found')
})

test('early hints pass, each link of them, before the answer', async () => {
  const upstream = await startFakeUpstream(
    answerBytes(
      'HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\n' +
        'HTTP/1.1 103 Early Hints\r\nx-other: 1\r\n\r\n' +
        'HTTP/1.1 102 Processing\r\n\r\n' +
        'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    ),
  )
  const key = await gateway.keyFor(upstream)
  const hints: [number, string][] = []
  const answer = await ask(gateway.url, '/v1/files', {
    key,
    onInformation: (status, raw) => hints.push([status, valuesOf(raw, 'link').join(', ')]),
  })
  expect([answer.status, answer.body.toString()]).toEqual([200, 'ok'])
  expect(hints).toEqual([
    [103, '</a.css>; rel=preload, </b.js>; rel=preload'],
    [102, ''],
  ])
})

const processing = 'HTTP/1.1 102 Processing\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

test('of very many 1xx answers eight pass', async () => {
  const upstream = await startFakeUpstream(answerBytes(processing.repeat(100) + ok))
  let passed = 0
  const answer = await ask(gateway.url, '/v1/files', {
    key: await gateway.keyFor(upstream),
    onInformation: () => passed++,
  })
  expect([answer.status, answer.body.toString(), passed]).toEqual([200, 'ok', 8])
})

test('a provider that sends more than a hundred 1xx answers is a broken one', async () => {
  const upstream = await startFakeUpstream(answerBytes(processing.repeat(101) + ok))
  const answer = await ask(gateway.url, '/v1/files', { key: await gateway.keyFor(upstream) })
  expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
})

test('an HTTP/1.0 client gets no 1xx answer, which it would take for the answer itself', async () => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n'
  const upstream = await startFakeUpstream(answerBytes(processing + hints + ok))
  const key = await gateway.keyFor(upstream)
  const { socket, until } = connectTo(gateway.url)
  const request = head('GET', '/v1/files', { authorization: `Bearer ${key.token}` })
  socket.write(request.replace('HTTP/1.1', 'HTTP/1.0'))
  expect(await until('ok')).toMatch(/^HTTP\/1.1 200 /)
})

test('early hints that no parser would take are left out, and the answer comes', async () => {
  const upstream = await startFakeUpstream(
    answerBytes(
      'HTTP/1.1 103 Early Hints\r\nlink: nonsense\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    ),
  )
  const answer = await ask(gateway.url, '/v1/files', { key: await gateway.keyFor(upstream) })
  expect([answer.status, answer.body.toString()]).toEqual([200, 'ok'])
})

test('an answer that comes before the upload has ended is passed on, and the connection stays usable', async () => {
  const upstream = await startFakeUpstream(
    ({ response }) => response.writeHead(400, { 'content-length': '2' }).end('no'),
    { reads: false },
  )
  const key = await gateway.keyFor(upstream)
  const { socket, until } = connectTo(gateway.url)
  const size = 4_000_000
  const authorization = `Bearer ${key.token}`
  socket.write(
    head('POST', '/v1/files', { authorization, 'content-type': 'audio/mpeg', 'content-length': size }),
  )
  socket.write(Buffer.alloc(size / 2))
  await until('\r\n\r\nno')
  socket.write(Buffer.alloc(size / 2))
  socket.write(head('GET', '/v1/nowhere/../x', { authorization }))
  expect(await until('not_found')).toContain('HTTP/1.1 404 ')
})

test('bytes that are no HTTP break a connection whose answer is under way, and add nothing to it', async () => {
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200).write('first')
  })
  const key = await gateway.keyFor(upstream)
  const { socket, until, ended } = connectTo(gateway.url)
  socket.write(head('GET', '/v1/files/f/content', { authorization: `Bearer ${key.token}` }))
  await until('first')
  socket.write('\x16\x03\x01 nonsense\r\n\r\n')
  expect((await ended).toString()).toMatch(/first\r\n$/)
})
