import OpenAI from 'openai'
import { afterAll, expect, test } from 'vitest'
import { answerJson, event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { sdk } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const ask = { model: 'gpt-5-nano', messages: [{ role: 'user' as const, content: 'Say hello.' }] }
const completion = { id: 'c', object: 'chat.completion', model: 'm', choices: [], usage: null }

test.each([
  [400, OpenAI.BadRequestError],
  [401, OpenAI.AuthenticationError],
  [403, OpenAI.PermissionDeniedError],
  [404, OpenAI.NotFoundError],
  [409, OpenAI.ConflictError],
  [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
  [503, OpenAI.InternalServerError],
])(
  'a provider’s %i is raised as the class of that status, with its own words',
  async (status, ErrorClass) => {
    const error = {
      message: 'In the words of the provider.',
      type: 'x',
      code: 'its_code',
      param: 'its_param',
    }
    const upstream = await startFakeUpstream(answerJson({ error }, status, { 'x-request-id': 'req-1' }))
    const key = await gateway.keyFor(upstream)
    const raised: unknown = await sdk(gateway, key)
      .chat.completions.create(ask)
      .catch((cause: unknown) => cause)
    expect(raised).toBeInstanceOf(ErrorClass)
    expect(raised).toMatchObject({ status, code: 'its_code', param: 'its_param', requestID: 'req-1' })
    const [record] = await gateway.records(key)
    expect(record).toMatchObject({ status, code: null, inputTokens: null, usageMissing: false })
  },
)

test('our refusals are raised as the class of their status, with our code', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const provider = { baseUrl: upstream.baseUrl }
  const limited = await gateway.keyFor(provider, { models: ['gpt-4o*'] })
  const expired = await gateway.keyFor(provider, { expiresAt: new Date(Date.now() - 1000) })
  const elsewhere = await gateway.keyFor(provider, { allowIps: ['10.0.0.0/8'] })
  const unreachable = await gateway.keyFor({ baseUrl: 'http://127.0.0.1:1/v1' })
  const raise = (client: OpenAI) => client.chat.completions.create(ask).catch((cause: unknown) => cause)
  const unknown = { id: '', token: `${limited.token.slice(0, -1)}_` }
  const cases = [
    [sdk(gateway, unknown), OpenAI.AuthenticationError, 401, 'invalid_api_key'],
    [sdk(gateway, expired), OpenAI.AuthenticationError, 401, 'expired_api_key'],
    [sdk(gateway, elsewhere), OpenAI.PermissionDeniedError, 403, 'ip_not_allowed'],
    [sdk(gateway, limited), OpenAI.PermissionDeniedError, 403, 'model_not_allowed'],
    [sdk(gateway, limited, { baseURL: gateway.url }), OpenAI.NotFoundError, 404, 'not_found'],
    [sdk(gateway, unreachable), OpenAI.InternalServerError, 502, 'upstream_unreachable'],
  ] as const
  for (const [client, ErrorClass, status, code] of cases) {
    const raised = await raise(client)
    expect(raised).toBeInstanceOf(ErrorClass)
    expect(raised).toMatchObject({ status, code })
  }
  expect(upstream.requests).toHaveLength(0)
})

test('an error inside a stream is raised in the middle of it', async () => {
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.end(event({ error: { message: 'overloaded', type: 'server_error', code: 'x' } }))
  })
  const stream = await sdk(gateway, await gateway.keyFor(upstream)).chat.completions.create({
    ...ask,
    stream: true,
  })
  await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow('overloaded')
})

test('a timeout of the SDK is an APIConnectionTimeoutError, and the record tells that the client left', async () => {
  const upstream = await startFakeUpstream(() => undefined)
  const key = await gateway.keyFor(upstream)
  const arrived = upstream.next()
  const asking = sdk(gateway, key, { timeout: 3_000 })
    .models.list()
    .catch((cause: unknown) => cause)
  const request = await arrived
  expect(await asking).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
  await request.closed
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 499, code: null, disconnected: true })
})

test('an abort before the answer is an APIUserAbortError and ends the upstream request', async () => {
  const upstream = await startFakeUpstream(() => undefined)
  const arrived = upstream.next()
  const abort = new AbortController()
  const key = await gateway.keyFor(upstream)
  const asking = sdk(gateway, key)
    .moderations.create({ input: 'x' }, { signal: abort.signal })
    .catch((cause: unknown) => cause)
  const request = await arrived
  abort.abort()
  expect(await asking).toBeInstanceOf(OpenAI.APIUserAbortError)
  await request.closed
})

test('the SDK gets through by its own retries, which honour the provider’s retry-after', async () => {
  let count = 0
  const upstream = await startFakeUpstream((exchange) => {
    count++
    if (count < 3)
      return answerJson({ error: { message: 'slow down' } }, 429, { 'retry-after-ms': '1' })(exchange)
    return answerJson(completion)(exchange)
  })
  const key = await gateway.keyFor(upstream)
  const answer = await sdk(gateway, key, { maxRetries: 2 }).chat.completions.create(ask)
  expect(answer.id).toBe('c')
  const records = await gateway.records(key, 3)
  expect(records.map(({ status, attempts }) => [status, attempts])).toEqual([
    [429, 1],
    [429, 1],
    [200, 1],
  ])
  const counts = upstream.requests.map(({ headers }) => headers['x-stainless-retry-count'])
  expect(counts).toEqual(['0', '1', '2'])
})
