import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { catalogue } from '@latchkey/shared'
import { afterAll, describe, expect, test } from 'vitest'
import {
  answerJson,
  type FakeUpstream,
  startFakeUpstream,
  type UpstreamHandler,
} from '../support/fake-upstream.ts'
import { startTestGateway, type TestKey, type TestKeyOptions } from '../support/gateway.ts'
import { ask, askJson, codeOf, connectTo, type HttpAnswer, head } from '../support/http-client.ts'
import {
  type Attempt,
  audio,
  boundary,
  closing,
  formType,
  part,
  refusedUnderWay,
  refusedUnsent,
} from './bypass-cases.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const limited: TestKeyOptions = { models: ['gpt-5-nano', 'gpt-4o*'] }

/** One upstream and key for all attempts of which nothing may reach an upstream. */
let reached = 0
const watching = createServer((_request, response) => {
  reached++
  response.end()
}).listen(0, '127.0.0.1')
await once(watching, 'listening')
afterAll(() => watching.close())
const watched = await gateway.keyFor({ baseUrl: `${originOf(watching)}/v1` }, limited)

/** Answers requests that are whole; one that breaks off before is for the test to look at. */
const answerWhole: UpstreamHandler = (exchange) =>
  exchange.request.whole().then(
    () => answerJson({ object: 'list', data: [] })(exchange),
    () => undefined,
  )

async function limitedKey(
  options: TestKeyOptions = limited,
): Promise<{ upstream: FakeUpstream; key: TestKey }> {
  const upstream = await startFakeUpstream(answerWhole)
  return { upstream, key: await gateway.keyFor(upstream, options) }
}

function attempt(key: TestKey, { method = 'POST', target, headers, body }: Attempt): Promise<HttpAnswer> {
  return ask(gateway.url, target ?? '/v1/chat/completions', {
    key,
    method,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body }),
  })
}

function expectRefusal(answer: HttpAnswer, { code, method }: Attempt): void {
  expect(answer.status).toBe(catalogue[code].status)
  if (method !== 'HEAD') expect(codeOf(answer)).toBe(code)
}

describe('a key with a model list', () => {
  test.each(refusedUnsent)('is refused $name: $code', async (each) => {
    expectRefusal(await attempt(watched, each), each)
    expect(reached).toBe(0)
  })

  test('is refused another model in a chunked body too', async () => {
    const { socket, until } = connectTo(gateway.url)
    const chunks = ['{"mod', 'el":"gpt-', '5"}'].map((text) => `${text.length.toString(16)}\r\n${text}\r\n`)
    const headers = {
      authorization: `Bearer ${watched.token}`,
      'content-type': 'application/json',
      'transfer-encoding': 'chunked',
    }
    socket.write(`${head('POST', '/v1/chat/completions', headers)}${chunks.join('')}0\r\n\r\n`)
    expect(await until('model_not_allowed')).toMatch(/^HTTP\/1\.1 403 /)
    expect(reached).toBe(0)
  })

  test.each(refusedUnderWay)('is refused $name: $code', async (each) => {
    const { upstream, key } = await limitedKey()
    expectRefusal(await attempt(key, each), each)
    await expectNoWholeRequest(upstream)
  })

  test.each([
    'multipart/form-data',
    'multipart/form-data; boundary=x; boundary=b0undary',
    'multipart/form-data; boundary="b0undary',
    "multipart/form-data; boundary=b0undary; boundary*=utf-8''x",
  ])('is refused a form of type %s', async (type) => {
    const each: Attempt = {
      name: type,
      code: 'invalid_request',
      target: '/v1/audio/transcriptions',
      headers: { 'content-type': type },
      body: part('model', 'gpt-4o') + audio + closing,
    }
    expectRefusal(await attempt(watched, each), each)
    expect(reached).toBe(0)
  })

  test('gets what it may have: the attempts above fail for their tricks, not for the way they are sent', async () => {
    const { upstream, key } = await limitedKey()
    const bodies = [
      '{"model":"gpt-5-nano"}',
      '{"model":"gpt-4o-mini","models":["gpt-4o"],"tools":[{"type":"function","function":{"name":"model"}}]}',
      '{"messages":[{"content":"\\u0022model\\": \\"model\\""}],"metadata":{"model":"gpt-5"},"\\u006dodel":"gpt-4o"}',
    ]
    for (const body of bodies)
      expect((await askJson(gateway.url, '/v1/chat/completions?model=gpt-4o', body, { key })).status).toBe(
        200,
      )
    const form = audio + part('model', 'gpt-4o-transcribe') + part('prompt', 'model') + closing
    const sent = await ask(gateway.url, '/v1/audio/transcriptions', {
      key,
      headers: { 'content-type': formType },
      body: form,
    })
    expect(sent.status).toBe(200)
    const received = await Promise.all(upstream.requests.map((request) => request.whole()))
    expect(received.map(String)).toEqual([...bodies, form])
  })

  test('gets nothing across with a stored prompt, a batch or a fallback even where all its fields are allowed ones', async () => {
    const { upstream, key } = await limitedKey({ models: ['*'] })
    const stored = await askJson(
      gateway.url,
      '/v1/responses',
      { model: 'gpt-4o', prompt: { id: 'pmpt_1' } },
      { key },
    )
    expect(codeOf(stored)).toBe('model_not_allowed')
    expect(codeOf(await askJson(gateway.url, '/v1/batches', { model: 'gpt-4o' }, { key }))).toBe(
      'endpoint_not_allowed',
    )
    expect(upstream.requests).toEqual([])
  })

  test('can’t smuggle a second request behind its first', async () => {
    const { upstream, key } = await limitedKey()
    const authorization = `authorization: Bearer ${key.token}\r\ncontent-type: application/json\r\n`
    const hidden = `POST /v1/batches HTTP/1.1\r\nhost: x\r\n${authorization}content-length: 2\r\n\r\n{}`
    const framings = [
      `content-length: 22\r\ntransfer-encoding: chunked\r\n`,
      `transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n`,
      `transfer-encoding: xchunked\r\n`,
      `transfer-encoding: chunked, identity\r\n`,
      `content-length: 22\r\ncontent-length: 23\r\n`,
      `content-length: +22\r\n`,
    ]
    for (const framing of framings) {
      const { socket, ended } = connectTo(gateway.url)
      socket.write(
        `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${authorization}${framing}\r\n0\r\n\r\n${hidden}`,
      )
      socket.end()
      expect((await ended).toString()).toMatch(/^HTTP\/1\.1 400 /)
    }
    expect(upstream.requests).toEqual([])
  })

  test('can’t take the content type away from a provider by naming it in Connection', async () => {
    const { upstream, key } = await limitedKey()
    const body = '{"model":"gpt-4o","a":"&model=gpt-5&"}'
    await askJson(gateway.url, '/v1/chat/completions', body, {
      key,
      headers: { connection: 'close, content-type' },
    })
    expect(upstream.requests[0]?.headers['content-type']).toBe('application/json')
  })

  test('sees, of the list of models, its own alone', async () => {
    const data = ['gpt-5-nano', 'gpt-5', 'gpt-4o', 'gpt-4o-mini', 'GPT-4o', ''].map((id) => ({
      id,
      object: 'model',
    }))
    const upstream = await startFakeUpstream(answerJson({ object: 'list', data }))
    const key = await gateway.keyFor(upstream, limited)
    const answer = JSON.parse((await ask(gateway.url, '/v1/models', { key })).body.toString())
    expect(answer.data.map((model: { readonly id: string }) => model.id)).toEqual([
      'gpt-5-nano',
      'gpt-4o',
      'gpt-4o-mini',
    ])
  })
})

describe('whatever a key may do, an upstream never sees', () => {
  test('a header by which a client would choose method, path, host, key or address', async () => {
    const { upstream, key } = await limitedKey({})
    const headers = {
      'x-http-method-override': 'DELETE',
      'x-original-url': '/v1/batches',
      'x-rewrite-url': '/v1/batches',
      'x-forwarded-host': 'elsewhere.example',
      'x-forwarded-for': '127.0.0.1',
      forwarded: 'for=127.0.0.1',
      'proxy-authorization': 'Basic eA==',
      cookie: 'session=1',
      'x-api-base': 'http://elsewhere.example',
      'helicone-target-url': 'http://elsewhere.example',
      'x-portkey-custom-host': 'http://elsewhere.example',
      'latchkey-user-id': 'alice',
      host: 'elsewhere.example',
    }
    await askJson(gateway.url, '/v1/chat/completions', { model: 'm' }, { key, headers })
    const [request] = upstream.requests
    for (const name of Object.keys(headers))
      if (name !== 'host') expect(request?.headers).not.toHaveProperty(name)
    expect(request?.headers.host).toBe(`127.0.0.1:${upstream.port}`)
    expect(JSON.stringify(request?.rawHeaders)).not.toMatch(/elsewhere|alice/)
  })

  test('the proxy key, whichever header carries it', async () => {
    const { upstream, key } = await limitedKey({})
    const carriers = [
      { 'x-api-key': key.token },
      { 'api-key': key.token },
      { 'helicone-auth': `Bearer ${key.token}` },
    ]
    for (const headers of carriers)
      await askJson(gateway.url, '/v1/chat/completions', { model: 'm' }, { headers })
    expect(upstream.requests).toHaveLength(carriers.length)
    expect(JSON.stringify(upstream.requests.map(({ rawHeaders }) => rawHeaders))).not.toContain(
      key.token.slice(3, 15),
    )
  })
})

describe('a key with a list of endpoints', () => {
  const post = (key: TestKey, target: string, model = 'gpt-4o') =>
    askJson(gateway.url, target, { model }, { key })

  test('reaches these and no others, exact names and beginnings', async () => {
    const { key } = await limitedKey({ endpoints: ['/v1/embeddings', '/v1/audio/*'] })
    expect((await post(key, '/v1/embeddings')).status).toBe(200)
    expect((await post(key, '/v1/audio/speech')).status).toBe(200)
    for (const target of [
      '/v1/embeddings/',
      '/v1/embeddings2',
      '/v1/audio',
      '/v1/chat/completions',
      '/v1/models',
      '/v1/Embeddings',
    ])
      expect(codeOf(await post(key, target))).toBe('endpoint_not_allowed')
  })

  test('reaches by naming it what a model list alone would close', async () => {
    const { key, upstream } = await limitedKey({
      ...limited,
      endpoints: ['/v1/batches*', '/v1/chat/completions'],
    })
    expect((await post(key, '/v1/batches')).status).toBe(200)
    expect((await post(key, '/v1/chat/completions')).status).toBe(200)
    expect(codeOf(await post(key, '/v1/chat/completions', 'gpt-5'))).toBe('model_not_allowed')
    expect(codeOf(await post(key, '/v1/embeddings'))).toBe('endpoint_not_allowed')
    expect(upstream.requests).toHaveLength(2)
  })

  test('can’t use a beginning to spell an endpoint so that its model is not read', async () => {
    const { key, upstream } = await limitedKey({ ...limited, endpoints: ['/v1*'] })
    for (const target of [
      '/v1/chat/completions/',
      '/v1/Chat/completions',
      '/v1/chat%2Fcompletions',
      '/v1/chat/completions;a=b',
      '/v1/chat/completions%2F',
      '/v1/chat/completions%20',
      '/v1/chat/completions%3Fa=b',
      '/v1/chat/completions%23',
      '/v1/chat/completions%E2%80%8B',
      '/v1/chat%C2%AD/completions',
      '/v1/chat/completions.json',
      '/v1/chat/completions.',
      '/v1/chat/completions+',
      '/v1/v1/chat/completions',
    ])
      expect([target, codeOf(await post(key, target, 'gpt-5'))]).toEqual([target, 'endpoint_not_allowed'])
    for (const target of ['/v1/chat/%63ompletions', '/v1/chat//completions', '/v1/chat/completions%00'])
      expect(codeOf(await post(key, target, 'gpt-5'))).toBe('not_found')
    expect(upstream.requests).toEqual([])
  })

  test('can’t use another method to have its model left unread', async () => {
    const { key, upstream } = await limitedKey({ ...limited, endpoints: ['/v1/*'] })
    const body = '{"model":"gpt-5"}'
    for (const method of ['PUT', 'PATCH', 'GET', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      const headers = { 'content-type': 'application/json' }
      const answer = await ask(gateway.url, '/v1/chat/completions', { key, method, headers, body })
      expect([method, codeOf(answer)]).toEqual([method, 'endpoint_not_allowed'])
    }
    expect(upstream.requests).toEqual([])
    for (const [method, target] of [
      ['GET', '/v1/batches/batch_1'],
      ['DELETE', '/v1/files/file-1'],
      ['POST', '/v1/models/gemini:generate'],
    ] as const)
      expect((await ask(gateway.url, target, { key, method })).status).toBe(200)
  })
})

/** A break-off that the upstream has not noticed yet would look like an upload that still goes on. */
async function expectNoWholeRequest(upstream: FakeUpstream): Promise<void> {
  for (const request of upstream.requests) {
    await request.closed
    await expect(request.whole()).rejects.toThrow()
    expect(request.body().toString('latin1')).not.toContain(`--${boundary}--`)
  }
}

function originOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  return `http://127.0.0.1:${address.port}`
}
