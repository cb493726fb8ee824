import { afterAll, expect, test } from 'vitest'
import { answerEvents, answerJson, event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway, type TestKey, type TestKeyOptions } from '../support/gateway.ts'
import { ask, type HttpAnswer } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

// gpt-5-nano: $0.05 a million tokens in, $0.40 out.
const model = 'gpt-5-nano'
const messages = [{ role: 'user', content: 'Hello' }]
const answered = (usage: unknown) => answerJson({ object: 'chat.completion', model, choices: [], usage })
const used = (input: number, output: number) => ({ prompt_tokens: input, completion_tokens: output })

function chat(key: TestKey, fields: Readonly<Record<string, unknown>> = {}): Promise<HttpAnswer> {
  return post(key, '/v1/chat/completions', { model, messages, ...fields })
}

function post(key: TestKey, target: string, body: unknown): Promise<HttpAnswer> {
  return ask(gateway.url, target, {
    key,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

async function openaiKey(handler: Parameters<typeof startFakeUpstream>[0], options: TestKeyOptions) {
  const upstream = await startFakeUpstream(handler)
  return { upstream, key: await gateway.keyFor({ ...upstream, provider: 'openai' }, options) }
}

const total = (limitUsd: string) => ({ budgets: [{ limitUsd, period: 'total' as const }] })
const errorOf = (answer: HttpAnswer) => JSON.parse(answer.body.toString()).error
const sentBody = async (upstream: Awaited<ReturnType<typeof startFakeUpstream>>, index = 0) =>
  JSON.parse((await upstream.requests[index]?.whole())?.toString() ?? '')

test('a request costs exactly what its usage says, and its record says so', async () => {
  const { key } = await openaiKey(answered(used(1_000, 500)), total('1'))
  expect((await chat(key, { max_completion_tokens: 600 })).status).toBe(200)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ costUsd: '0.00025', estimated: false })
})

test('without a budget a request is priced, held nowhere, and its body is not touched', async () => {
  const { upstream, key } = await openaiKey(answered(used(1_000, 500)), {})
  const answer = await chat(key)
  expect(answer.headers['latchkey-budget-remaining-usd']).toBeUndefined()
  expect(await sentBody(upstream)).toEqual({ model, messages })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ costUsd: '0.00025', estimated: false })
})

test('under a budget a request without an output cap is sent with the one that was held for', async () => {
  const { upstream, key } = await openaiKey(answered(used(2, 5)), total('1'))
  const answer = await chat(key)
  expect(answer.headers['latchkey-output-cap']).toBe('16384')
  expect(await sentBody(upstream)).toEqual({ model, messages, max_completion_tokens: 16_384 })
})

test('where little is left the cap that is set is what that pays for, and nothing is ever overspent', async () => {
  const { upstream, key } = await openaiKey(answered(used(2, 2_000)), total('0.001'))
  const answer = await chat(key)
  expect(answer.status).toBe(200)
  const { max_completion_tokens: cap } = await sentBody(upstream)
  expect(answer.headers['latchkey-output-cap']).toBe(String(cap))
  expect(cap).toBeLessThan(2_500)
  expect(cap).toBeGreaterThan(2_000)
})

test('a cap that the budget can’t pay for is refused, or lowered where the key says so', async () => {
  const fields = { max_completion_tokens: 5_000 }
  const refusing = await openaiKey(answered(used(2, 5)), total('0.001'))
  const refused = await chat(refusing.key, fields)
  expect(refused.status).toBe(429)
  expect(refused.headers['x-should-retry']).toBe('false')
  expect(errorOf(refused)).toMatchObject({
    code: 'insufficient_quota',
    type: 'insufficient_quota',
    param: 'max_completion_tokens',
    details: { remaining_usd: '0.001' },
  })
  expect(refusing.upstream.requests).toHaveLength(0)

  const clamping = await openaiKey(answered(used(2, 5)), { ...total('0.001'), fit: 'clamp' })
  const clamped = await chat(clamping.key, fields)
  expect(clamped.status).toBe(200)
  const { max_completion_tokens: cap } = await sentBody(clamping.upstream)
  expect(cap).toBeLessThan(2_500)
  expect(clamped.headers['latchkey-output-cap']).toBe(String(cap))
})

test('a client’s own cap that fits is not touched', async () => {
  const { upstream, key } = await openaiKey(answered(used(2, 5)), total('1'))
  const answer = await chat(key, { max_completion_tokens: 77 })
  expect(answer.headers['latchkey-output-cap']).toBeUndefined()
  expect((await sentBody(upstream)).max_completion_tokens).toBe(77)
})

test('a crowd whose tokens must be counted is told to come again, not that it can’t pay', async () => {
  // 36,000 bytes at $0.05 a million: $0.0018, twice what the tokens that they are cost.
  const content = 'The quick brown fox jumps over the lazy dog. '.repeat(800)
  const fields = { messages: [{ role: 'user', content }], max_completion_tokens: 100 }
  const poor = await openaiKey(answered(used(2, 5)), total('0.0017'))
  // The first count loads the tables as well, and each may take no more than two seconds.
  const first = await openaiKey(answered(used(2, 5)), total('0.0017'))
  await expect.poll(async () => (await chat(first.key, fields)).status, { timeout: 20_000 }).toBe(200)
  // It can't pay for a single one of them, so that need not be counted.
  const broke = await openaiKey(answered(used(2, 5)), total('0.00001'))
  const crowding = Array.from({ length: 8 }, () => chat(poor.key, fields))
  const refused = await chat(broke.key, fields)
  const crowd = await Promise.all(crowding)
  const codes = new Set(crowd.map((answer) => (answer.status === 200 ? 'served' : errorOf(answer).code)))
  expect([...codes].sort()).toEqual(['budget_in_flight', 'served'])
  for (const { status, headers } of crowd)
    if (status === 429) expect(headers).toMatchObject({ 'retry-after': '1' })
  expect(errorOf(refused).code).toBe('insufficient_quota')
})

test.each([
  ['unpriced_model', 'model', { model: 'nobody-knows' }],
  ['unsupported_parameter', 'web_search_options', { web_search_options: {} }],
  ['unsupported_parameter', 'n', { n: 1.5 }],
  ['unsupported_parameter', 'service_tier', { service_tier: 'scale' }],
])('what has no bound is refused under a budget: %s in %s', async (code, param, fields) => {
  const { upstream, key } = await openaiKey(answered(used(2, 5)), total('1'))
  const answer = await chat(key, fields)
  expect(answer.status).toBe(400)
  expect(errorOf(answer)).toMatchObject({ code, param })
  expect(upstream.requests).toHaveLength(0)
})

test('a body that has two readings anywhere is refused under a budget: its bound would be that of one', async () => {
  const { upstream, key } = await openaiKey(answered(used(2, 5)), total('1'))
  const answer = await ask(gateway.url, '/v1/chat/completions', {
    key,
    headers: { 'content-type': 'application/json' },
    body: `{"model":"${model}","messages":[{"role":"user","content":[{"type":"image_url","type":"text","text":"x"}]}]}`,
  })
  expect(answer.status).toBe(400)
  expect(errorOf(answer).code).toBe('invalid_request')
  expect(upstream.requests).toHaveLength(0)
})

test('a success without usage costs what was held, and is marked as estimated', async () => {
  const { key } = await openaiKey(answered(undefined), total('1'))
  await chat(key, { max_completion_tokens: 1_000 })
  const [record] = await gateway.records(key)
  expect(record?.estimated).toBe(true)
  expect(record?.costUsd).toBe(record?.heldUsd)
})

test('an answer that does not say in which tier it was served is priced by the one that was asked for', async () => {
  const { key } = await openaiKey(answered(used(1_000, 500)), total('1'))
  await chat(key, { max_completion_tokens: 600, service_tier: 'flex' })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ costUsd: '0.000125', estimated: false })
})

test('an error of the provider’s costs nothing', async () => {
  const { key } = await openaiKey(answerJson({ error: { message: 'no' } }, 400), total('1'))
  await chat(key, { max_completion_tokens: 1_000 })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 400, costUsd: '0', estimated: false })
})

test('a stream whose client did not ask for usage costs exactly what it used', async () => {
  const { key } = await openaiKey(
    answerEvents([
      event({ choices: [{ delta: { content: 'Hi' } }] }),
      event({ model, choices: [], usage: used(1_000, 500) }),
      'data: [DONE]\n\n',
    ]),
    total('1'),
  )
  await chat(key, { stream: true, max_completion_tokens: 600 })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ costUsd: '0.00025', estimated: false })
})

test('each attempt holds for itself, and what failed before a retry costs nothing', async () => {
  let calls = 0
  const { key } = await openaiKey(
    (exchange) => (++calls === 1 ? answerJson({ error: {} }, 500) : answered(used(1_000, 500)))(exchange),
    { ...total('1'), retries: 1 },
  )
  expect((await chat(key, { max_completion_tokens: 600 })).status).toBe(200)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ attempts: 2, costUsd: '0.00025' })
})

test('an attempt that reached the provider and got no status costs what was held', async () => {
  const { key } = await openaiKey(async ({ request, socket }) => {
    await request.whole()
    socket.resetAndDestroy()
  }, total('1'))
  expect((await chat(key, { max_completion_tokens: 600 })).status).toBe(502)
  const [record] = await gateway.records(key)
  expect(record?.estimated).toBe(true)
  expect(record?.costUsd).toBe(record?.heldUsd)
})

test('a provider that was never reached costs nothing', async () => {
  const { upstream, key } = await openaiKey(answered(used(1, 1)), total('1'))
  await upstream.close()
  expect((await chat(key, { max_completion_tokens: 600 })).status).toBe(502)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ costUsd: '0', estimated: false })
})

test('1,000 requests at once: as many succeed as the budget pays for, and not one more', async () => {
  // Usage is the bound: the input is as many tokens as the body has bytes, by the provider's word.
  const fields = { max_completion_tokens: 100 }
  const { upstream, key } = await openaiKey(answered(used(1, 100)), total('0.01'))
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => chat(key, fields)))
  const codes = new Set(answers.filter(({ status }) => status !== 200).map((answer) => errorOf(answer).code))
  expect([...codes].every((code) => code === 'budget_in_flight' || code === 'insufficient_quota')).toBe(true)
  const succeeded = answers.filter(({ status }) => status === 200).length
  expect(succeeded).toBe(upstream.requests.length)
  // 40.05 micro-dollars each.
  expect(succeeded).toBeLessThanOrEqual(249)
  for (;;) {
    const answer = await chat(key, fields)
    if (answer.status === 200) continue
    if (errorOf(answer).code === 'insufficient_quota') break
    expect(errorOf(answer).code).toBe('budget_in_flight')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(upstream.requests.length).toBeLessThanOrEqual(249)
  expect(upstream.requests.length).toBeGreaterThanOrEqual(248)
})

test('a stream that broke off costs no less than was held, whatever it had told of its usage by then', async () => {
  const { key } = await openaiKey(async ({ request, response, socket }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event({ model, choices: [{ delta: { content: 'Hi' } }], usage: used(1, 1) }), () =>
      socket.resetAndDestroy(),
    )
  }, total('1'))
  await chat(key, { stream: true, max_completion_tokens: 600 }).catch(() => undefined)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ truncated: true, estimated: true })
  expect(record?.costUsd).toBe(record?.heldUsd)
})

test('where the first provider key has no money of its own left, the next one is asked', async () => {
  const poor = await startFakeUpstream(answered(used(1, 1)))
  const rich = await startFakeUpstream(answered(used(1, 1)))
  const key = await gateway.keyFor(
    [
      { ...poor, provider: 'openai', budgets: [{ limitUsd: '0.000001', period: 'total' }] },
      { ...rich, provider: 'openai' },
    ],
    {},
  )
  const answer = await chat(key, { max_completion_tokens: 600 })
  expect(answer.status).toBe(200)
  expect([poor.requests.length, rich.requests.length]).toEqual([0, 1])
  const [record] = await gateway.records(key)
  expect(record?.attempts).toBe(1)
})

test('a provider key’s own budget is told to no holder', async () => {
  const upstream = await startFakeUpstream(answered(used(1, 1)))
  const key = await gateway.keyFor(
    { ...upstream, provider: 'openai', budgets: [{ limitUsd: '0.000001', period: 'total' }] },
    {},
  )
  const answer = await chat(key, { max_completion_tokens: 600 })
  expect(errorOf(answer)).toMatchObject({ code: 'insufficient_quota' })
  expect(answer.body.toString()).not.toContain('0.000001')
  expect(answer.headers['latchkey-budget-remaining-usd']).toBeUndefined()
})

test('a model in the query is refused under a budget, which pays for the one in the body', async () => {
  const { upstream, key } = await openaiKey(answered(used(1, 1)), total('1'))
  const answer = await post(key, '/v1/chat/completions?model=o1-pro', { model, messages })
  expect(answer.status).toBe(400)
  expect(upstream.requests).toHaveLength(0)
})

test('a rate limit admits its burst and then says when to come back', async () => {
  const { upstream, key } = await openaiKey(answered(used(1, 1)), {
    limits: [{ unit: 'requests', per: 'minute', limit: 3 }],
  })
  const answers = []
  for (let count = 0; count < 5; count++) answers.push(await chat(key))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429])
  expect(upstream.requests).toHaveLength(3)
  const last = answers.at(-1)
  expect(Number(last?.headers['retry-after'])).toBeGreaterThanOrEqual(19)
  expect(last?.headers['ratelimit-policy']).toBe('"key-rpm";q=3;w=60')
})

test('a request that was refused its money gives its rate limit back', async () => {
  const { key } = await openaiKey(answered(used(1, 1)), {
    ...total('0.0001'),
    limits: [{ unit: 'requests', per: 'minute', limit: 1 }],
  })
  for (let count = 0; count < 3; count++) {
    const refused = await chat(key, { max_completion_tokens: 100_000 })
    expect(errorOf(refused).code).toBe('insufficient_quota')
  }
  expect((await chat(key, { max_completion_tokens: 10 })).status).toBe(200)
})

test('a request that reached nobody gives its rate limits back', async () => {
  const { upstream, key } = await openaiKey(answered(used(1, 1)), {
    limits: [{ unit: 'requests', per: 'hour', limit: 1 }],
  })
  await upstream.close()
  expect([(await chat(key)).status, (await chat(key)).status]).toEqual([502, 502])
})

test.each([
  ['another media type', { 'content-type': 'text/plain' }],
  ['an encoding', { 'content-type': 'application/json', 'content-encoding': 'gzip' }],
])('under a limit of tokens a body in %s, which we can’t read, is refused', async (_title, headers) => {
  const { upstream, key } = await openaiKey(answered(used(1, 1)), {
    limits: [{ unit: 'tokens', per: 'minute', limit: 100 }],
  })
  const body = JSON.stringify({ model, messages })
  const answer = await ask(gateway.url, '/v1/chat/completions', { key, headers, body })
  expect(errorOf(answer).code).toBe('unsupported_media_type')
  expect(upstream.requests).toHaveLength(0)
})

test('tokens are taken by the bound and corrected by what was used', async () => {
  const { key } = await openaiKey(answered(used(10, 10)), {
    limits: [{ unit: 'tokens', per: 'minute', limit: 2_000 }],
  })
  for (let count = 0; count < 3; count++)
    expect((await chat(key, { max_completion_tokens: 1_500 })).status).toBe(200)
  const { headers } = await chat(key, { max_completion_tokens: 1_500 })
  expect(headers.ratelimit).toMatch(/"key-tpm";r=\d{1,3};/)
})
