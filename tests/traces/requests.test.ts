import { afterAll, expect, test } from 'vitest'
import { scrape } from '../metrics/scrape.ts'
import { findCanaries, newSecret } from '../security/canary.ts'
import { answerEvents, answerJson, event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, valuesOf } from '../support/http-client.ts'
import { type CollectedSpan, startCollector } from './collector.ts'

const collector = await startCollector(afterAll)
const credential = newSecret()
const gateway = await startTestGateway({
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
  OTEL_EXPORTER_OTLP_HEADERS: `x-api-key=${credential}`,
})
const untraced = await startTestGateway()
afterAll(() => Promise.all([gateway.stop(), untraced.stop()]))

const chat = '/v1/chat/completions'
const model = 'gpt-5-nano'
const usage = {
  prompt_tokens: 100,
  prompt_tokens_details: { cached_tokens: 64 },
  completion_tokens: 50,
  completion_tokens_details: { reasoning_tokens: 20 },
}
const completion = { object: 'chat.completion', model: `${model}-2025-08-07`, choices: [], usage }
const caller = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
}
const traceparent = (flags = '01', traceId = caller.traceId) => `00-${traceId}-${caller.spanId}-${flags}`

/** The spans that one request made: its own first, then those of its attempts. */
async function spansOf(request: () => Promise<unknown>, count: number): Promise<readonly CollectedSpan[]> {
  const before = collector.spans.length
  await request()
  return (await collector.received(before + count)).slice(before)
}

test('a request is a span and its attempt is one below it, with what it asked and used and nothing that was said', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor({ ...upstream, provider: 'openai', secret: newSecret() })
  const before = Date.now()
  const answered: string[] = []
  const [request, attempt, ...others] = await spansOf(async () => {
    const body = { model, messages: [{ role: 'user', content: 'a prompt' }] }
    const answer = await askJson(gateway.url, `${chat}?secret=query`, body, { key })
    answered.push(String(answer.headers['latchkey-request-id']))
  }, 2)
  expect(others).toEqual([])
  expect(request).toMatchObject({
    name: `POST ${chat}`,
    kind: 2,
    attributes: {
      'http.request.method': 'POST',
      'http.route': chat,
      'url.path': chat,
      'http.response.status_code': 200,
      'latchkey.request.id': answered[0],
      'latchkey.key.id': key.id,
      'latchkey.attempts': 1,
    },
  })
  expect(request?.parentSpanId).toBeUndefined()
  expect(request?.status).toBeUndefined()
  expect(attempt).toMatchObject({
    traceId: request?.traceId,
    parentSpanId: request?.spanId,
    name: `chat ${model}`,
    kind: 3,
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': model,
      'gen_ai.response.model': `${model}-2025-08-07`,
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.output_tokens': 50,
      'gen_ai.usage.cache_read.input_tokens': 64,
      'gen_ai.usage.reasoning.output_tokens': 20,
      'http.response.status_code': 200,
      'server.address': '127.0.0.1',
      'server.port': upstream.port,
    },
  })
  const times = [request, attempt].map((span) => [
    Number(BigInt(span?.startTimeUnixNano ?? 0) / 1_000_000n),
    Number(BigInt(span?.endTimeUnixNano ?? 0) / 1_000_000n),
  ])
  for (const [start = 0, end = 0] of times) {
    expect(start).toBeGreaterThanOrEqual(before)
    expect(end).toBeGreaterThanOrEqual(start)
    expect(end).toBeLessThanOrEqual(Date.now())
  }
  expect(times[1]?.[0]).toBeGreaterThanOrEqual(times[0]?.[0] ?? 0)
  const text = collector.bodies.join()
  for (const said of ['a prompt', 'secret=query', key.token, credential]) expect(text).not.toContain(said)
})

test('a caller’s trace goes on through the gateway to the provider', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(upstream)
  const [request, attempt] = await spansOf(
    () =>
      askJson(
        gateway.url,
        chat,
        { model },
        { key, headers: { traceparent: traceparent(), tracestate: 'a=1,b=2' } },
      ),
    2,
  )
  expect(request).toMatchObject({
    traceId: caller.traceId,
    parentSpanId: caller.spanId,
    traceState: 'a=1,b=2',
  })
  expect(attempt).toMatchObject({ traceId: caller.traceId, parentSpanId: request?.spanId })
  const sent = upstream.requests[0]?.rawHeaders ?? []
  expect(valuesOf(sent, 'traceparent')).toEqual([`00-${caller.traceId}-${attempt?.spanId}-01`])
  expect(valuesOf(sent, 'tracestate')).toEqual(['a=1,b=2'])
})

test('a trace that its caller does not sample makes no span, and passes as it came', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(upstream)
  const headers = { traceparent: traceparent('00'), tracestate: 'a=1' }
  const [request] = await spansOf(async () => {
    await askJson(gateway.url, chat, { model }, { key, headers })
    await askJson(gateway.url, '/v1/models', {}, { key })
  }, 2)
  expect(request?.attributes['url.path']).toBe('/v1/models')
  expect(valuesOf(upstream.requests[0]?.rawHeaders ?? [], 'traceparent')).toEqual([traceparent('00')])
  expect(valuesOf(upstream.requests[0]?.rawHeaders ?? [], 'tracestate')).toEqual(['a=1'])
})

test('a context that can’t be relied on begins a new trace, and its state is dropped', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(upstream)
  const headers = { traceparent: traceparent('01', '0'.repeat(32)), tracestate: 'a=1' }
  const [request, attempt] = await spansOf(() => askJson(gateway.url, chat, { model }, { key, headers }), 2)
  expect(request?.parentSpanId).toBeUndefined()
  const sent = upstream.requests[0]?.rawHeaders ?? []
  expect(valuesOf(sent, 'traceparent')).toEqual([`00-${request?.traceId}-${attempt?.spanId}-01`])
  expect(valuesOf(sent, 'tracestate')).toEqual([])
})

test('each attempt is a span of its own, and the provider sees another parent each time', async () => {
  const first = await startFakeUpstream(answerJson({}, 503))
  const second = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor([first, { baseUrl: 'http://127.0.0.1:9/v1' }, second])
  const [request, ...attempts] = await spansOf(() => askJson(gateway.url, chat, { model }, { key }), 4)
  expect(request?.attributes).toMatchObject({ 'latchkey.attempts': 3, 'http.response.status_code': 200 })
  expect(attempts.map(({ attributes, status }) => [attributes['error.type'], status?.code])).toEqual([
    ['503', 2],
    ['ECONNREFUSED', 2],
    [undefined, undefined],
  ])
  expect(attempts.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([undefined, 1, 2])
  expect(attempts.map(({ attributes }) => attributes['gen_ai.usage.output_tokens'])).toEqual([
    undefined,
    undefined,
    50,
  ])
  const parents = [first, second].map(({ requests }) => requests[0]?.headers.traceparent)
  expect(parents).toEqual(
    [attempts[0], attempts[2]].map((span) => `00-${request?.traceId}-${span?.spanId}-01`),
  )
})

test('refusals and failures say why; a client’s own mistake is no failure of the gateway’s', async () => {
  const key = await gateway.keyFor({ baseUrl: 'http://127.0.0.1:9/v1' }, { models: ['only-this'] })
  const [refused, ...none] = await spansOf(() => askJson(gateway.url, chat, { model }, { key }), 1)
  expect(none).toEqual([])
  expect(refused?.attributes).toMatchObject({
    'error.type': 'model_not_allowed',
    'http.response.status_code': 403,
  })
  expect(refused?.status).toBeUndefined()
  const [failed] = await spansOf(() => askJson(gateway.url, chat, { model: 'only-this' }, { key }), 2)
  expect(failed?.attributes).toMatchObject({ 'error.type': 'upstream_unreachable' })
  expect(failed?.status).toEqual({ code: 2 })
})

test('a stream that breaks off is a failure of both, and its first event is not its end', async () => {
  const upstream = await startFakeUpstream(async ({ request, response, socket }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event({ choices: [] }), () => socket.destroy())
  })
  const key = await gateway.keyFor(upstream)
  const spans = await spansOf(() => askJson(gateway.url, chat, { model, stream: true }, { key }), 2)
  expect(spans.map(({ status, attributes }) => [status?.code, attributes['error.type']])).toEqual([
    [2, 'truncated'],
    [2, 'truncated'],
  ])
})

test('a request whose key is not known makes no span, so that a flood of them pushes out no other', async () => {
  const upstream = await startFakeUpstream(answerEvents([event({ choices: [], usage }), event('[DONE]')]))
  const key = await gateway.keyFor(upstream)
  const before = collector.spans.length
  for (let sent = 0; sent < 50; sent++)
    await ask(gateway.url, '/v1/models', {
      headers: { authorization: 'Bearer nobody', traceparent: traceparent() },
    })
  const [request] = await spansOf(() => askJson(gateway.url, chat, { model, stream: true }, { key }), 2)
  expect(collector.spans).toHaveLength(before + 2)
  expect(request?.attributes['latchkey.key.id']).toBe(key.id)
})

test('paths and models of a client’s are attributes, cut where they are long, and never names of spans by the path', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  const path = `/v1/files/${'x'.repeat(3_000)}`
  const [request, attempt] = await spansOf(() => ask(gateway.url, path, { key }), 2)
  expect([request?.name, attempt?.name]).toEqual(['GET', 'GET'])
  expect(String(request?.attributes['url.path']).length).toBeLessThanOrEqual(1_024)
})

test('without a collector nothing is traced, and a context passes to the provider as it came', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await untraced.keyFor(upstream)
  const headers = { traceparent: traceparent(), tracestate: 'a=1' }
  await askJson(untraced.url, chat, { model }, { key, headers })
  await askJson(untraced.url, chat, { model }, { key })
  const [given, bare] = upstream.requests
  expect(given?.headers).toMatchObject(headers)
  expect(bare?.headers).not.toHaveProperty('traceparent')
  expect((await scrape(untraced)).types.has('latchkey_spans_exported_total')).toBe(false)
})

test('a collector that hangs delays no request, and what it costs is counted', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(upstream)
  const exported = (await scrape(gateway)).value('latchkey_spans_exported_total')
  expect(exported).toBeGreaterThan(10)
  const release = Promise.withResolvers<void>()
  collector.answer(async () => {
    await release.promise
    return { status: 200, body: '{}' }
  })
  const { length } = collector.bodies
  await askJson(gateway.url, chat, { model }, { key })
  await expect.poll(() => collector.bodies.length).toBeGreaterThan(length)
  const started = performance.now()
  for (let request = 0; request < 20; request++)
    expect((await askJson(gateway.url, chat, { model }, { key })).status).toBe(200)
  expect(performance.now() - started).toBeLessThan(5_000)
  expect((await scrape(gateway)).value('latchkey_spans_queued')).toBeGreaterThan(0)
  release.resolve()
})

test('neither the collector’s credential nor a key is in a span or a log line', () => {
  const secrets = [credential, gateway.adminToken].map((text) => ({
    name: text.slice(0, 4),
    bytes: Buffer.from(text),
  }))
  const places = [
    ['the spans', collector.bodies.join()],
    ['the log', JSON.stringify(gateway.log.events)],
  ] as const
  expect(findCanaries(secrets, places)).toEqual([])
  expect(collector.headers.every((headers) => headers['x-api-key'] === credential)).toBe(true)
})
