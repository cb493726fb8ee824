import { afterAll, expect, test } from 'vitest'
import { answerBytes, answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, codeOf, valuesOf } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const passing = {
  accept: 'application/json',
  'accept-language': 'de',
  'user-agent': 'OpenAI/JS',
  'idempotency-key': 'i',
  'openai-organization': 'org',
  'openai-project': 'proj',
  'openai-beta': 'assistants=v2',
  'x-stainless-lang': 'js',
  'x-request-id': 'r',
  'x-client-request-id': 'c',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'a=b',
  range: 'bytes=0-1',
  'if-none-match': '"e"',
  prefer: 'wait',
}
const staying = {
  cookie: 'session=1',
  forwarded: 'for=1.2.3.4',
  'x-forwarded-for': '1.2.3.4',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'https',
  'x-real-ip': '1.2.3.4',
  'cf-connecting-ip': '1.2.3.4',
  origin: 'https://app.example',
  referer: 'https://app.example/x',
  'latchkey-user-id': 'ada',
  'latchkey-anything': 'x',
  'helicone-user-id': 'ada',
  'helicone-target-url': 'https://evil.example',
  'x-portkey-custom-host': 'https://evil.example',
  'x-simulator-fault': 'status=500',
  'anthropic-version': '2023-06-01',
  'accept-encoding': 'gzip, br',
  'keep-alive': 'timeout=5',
  'proxy-authorization': 'Basic x',
  'proxy-connection': 'keep-alive',
  te: 'trailers',
  upgrade: 'h2c',
  'http2-settings': 'x',
  'x-custom': 'x',
}

test('of a client’s headers exactly the allowed ones reach the provider, with its own key and our Via', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor({ baseUrl: upstream.baseUrl, secret: 'sk-the-provider-key' })
  await askJson(gateway.url, '/v1/things', '{}', { key, headers: { ...passing, ...staying } })
  const [request] = upstream.requests
  const { via, ...received } = request?.headers ?? {}
  expect(received).toEqual({
    ...passing,
    host: `127.0.0.1:${upstream.port}`,
    connection: 'keep-alive',
    'content-type': 'application/json',
    'content-length': '2',
    'accept-encoding': 'identity',
    authorization: 'Bearer sk-the-provider-key',
  })
  expect(via).toMatch(/^1\.1 latchkey-[0-9a-f]{12}$/)
})

test.each(['x-api-key', 'api-key', 'x-goog-api-key', 'latchkey-auth', 'helicone-auth', 'Authorization'])(
  'a proxy key in %s reaches no provider in any header',
  async (name) => {
    const upstream = await startFakeUpstream(answerJson({}))
    const key = await gateway.keyFor(upstream)
    const bare = name.endsWith('key')
    const answer = await ask(gateway.url, '/v1/things', {
      headers: { [name]: bare ? key.token : `Bearer ${key.token}` },
    })
    expect(answer.status).toBe(200)
    expect(JSON.stringify(upstream.requests[0]?.rawHeaders)).not.toContain(key.token)
    expect(valuesOf(upstream.requests[0]?.rawHeaders ?? [], 'authorization')).toHaveLength(1)
  },
)

test('an allowed header that Connection names ends here', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  const headers = { connection: 'close, OpenAI-Beta ,x-request-id', 'openai-beta': 'a', 'x-request-id': 'b' }
  await ask(gateway.url, '/v1/things', { key, headers: { ...headers, accept: 'x/y' } })
  expect(upstream.requests[0]?.headers).not.toHaveProperty('openai-beta')
  expect(upstream.requests[0]?.headers).not.toHaveProperty('x-request-id')
  expect(upstream.requests[0]?.headers).toHaveProperty('accept', 'x/y')
})

test('the hops that a client reports stand before ours in Via', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  await ask(gateway.url, '/v1/things', { key, headers: { via: ['1.0 a', '1.1 b'] } })
  expect(upstream.requests[0]?.headers.via).toMatch(/^1\.0 a, 1\.1 b, 1\.1 latchkey-[0-9a-f]{12}$/)
})

test('a gateway that is pointed at itself answers 508 and does not go round', async () => {
  const key = await gateway.keyFor({ baseUrl: `${gateway.url}/v1` })
  const answer = await askJson(gateway.url, '/v1/chat/completions', {}, { key })
  expect([answer.status, codeOf(answer)]).toEqual([508, 'loop_detected'])
  const records = await gateway.records(key)
  expect(records.map(({ status, attempts }) => [status, attempts])).toEqual([[508, 1]])
})

test('a provider key that points at us by way of a proxy is a loop too', async () => {
  const upstream = await startFakeUpstream(async ({ request, response }) => {
    const via = `${request.headers.via}, 1.1 somebody`
    const inner = await ask(gateway.url, '/v1/models', { headers: { via } })
    response.writeHead(inner.status).end(inner.body)
  })
  const answer = await ask(gateway.url, '/v1/models', { key: await gateway.keyFor(upstream) })
  expect([answer.status, codeOf(answer)]).toEqual([508, 'loop_detected'])
})

const withheldLines = [
  'Set-Cookie: a=b',
  'openai-organization: org-of-the-account',
  'openai-project: proj-of-the-account',
  'anthropic-organization-id: x',
  'alt-svc: h3=":443"',
  'strict-transport-security: max-age=1',
  'access-control-allow-origin: *',
  'access-control-allow-credentials: true',
  'latchkey-request-id: not-ours',
  'latchkey-budget-remaining-usd: 7',
  'clear-site-data: "*"',
  'nel: {}',
  'connection: keep-alive, x-named',
  'x-named: 1',
  'keep-alive: timeout=60',
  'proxy-authenticate: Basic',
  'trailer: x',
  'via: 1.1 upstream',
]
const passedLines = [
  'Content-Type: application/json',
  'x-request-id: req_1',
  'X-RateLimit-Remaining-Requests: 4999',
  'openai-version: 2020-10-01',
  'openai-processing-ms: 17',
  'retry-after-ms: 12',
  'X-Twice: one',
  'x-twice: two',
  'Date: Sat, 01 Jan 2000 00:00:00 GMT',
  'Server: cloudflare',
  'content-length: 2',
]

test('a provider’s headers pass in order, named in lower case, but for those that are about it or the connection', async () => {
  const lines = [...withheldLines, ...passedLines].join('\r\n')
  const upstream = await startFakeUpstream(answerBytes(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\n{}`))
  const answer = await ask(gateway.url, '/v1/things', { key: await gateway.keyFor(upstream) })
  const received: string[] = []
  for (let index = 0; index < answer.rawHeaders.length; index += 2)
    received.push(`${answer.rawHeaders[index]}: ${answer.rawHeaders[index + 1]}`)
  const inLowerCase = passedLines.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()))
  expect(received.slice(0, passedLines.length)).toEqual(inLowerCase)
  expect(received.slice(passedLines.length)).toEqual([
    expect.stringMatching(/^latchkey-request-id: [0-9a-f-]{36}$/),
    'Connection: close',
  ])
})

test('every answer of ours names the request', async () => {
  const answers = await Promise.all(
    ['/v1/models', '/v2', '/v1/models'].map((target) => ask(gateway.url, target)),
  )
  const ids = answers.map(({ headers }) => headers['latchkey-request-id'])
  expect(new Set(ids).size).toBe(3)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/)
})

test('a key that stands in the URL too is refused, and nothing goes upstream', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  const answer = await ask(gateway.url, `/v1/models?key=${key.token}`, { key })
  expect([answer.status, codeOf(answer)]).toEqual([401, 'invalid_api_key'])
  expect(upstream.requests).toHaveLength(0)
})
