import { parseUsd, type StoredLimit } from '@latchkey/shared'
import { afterAll, describe, expect, test } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway, type TestKey, type TestKeyOptions } from '../support/gateway.ts'
import { ask, askJson, codeOf, type HttpAnswer } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'
const body = { model: 'gpt-5-nano', max_completion_tokens: 10, messages: [{ role: 'user', content: 'hi' }] }
const completion = { choices: [], usage: { prompt_tokens: 40, completion_tokens: 10 } }

async function start(options: TestKeyOptions = {}) {
  const upstream = await startFakeUpstream(answerJson(completion))
  // The provider whose models have prices.
  const provider = { baseUrl: upstream.baseUrl, provider: 'openai' }
  return { upstream, key: await gateway.keyFor(provider, options) }
}

function send(key: TestKey, headers: Readonly<Record<string, string | string[]>>): Promise<HttpAnswer> {
  return askJson(gateway.url, chat, body, { key, headers })
}

async function statuses(
  key: TestKey,
  headers: Readonly<Record<string, string>>,
  count: number,
): Promise<readonly number[]> {
  const all: number[] = []
  for (let sent = 0; sent < count; sent++) all.push((await send(key, headers)).status)
  return all
}

describe.each(['latchkey-ratelimit-policy', 'Helicone-RateLimit-Policy'])('%s', (name) => {
  test('limits the requests of its key, is told in the answer, and stays here', async () => {
    const { key, upstream } = await start()
    const first = await send(key, { [name]: '2;w=3600' })
    expect(first.status).toBe(200)
    expect(first.headers['ratelimit-policy']).toBe('"policy";q=2;w=3600')
    expect(first.headers.ratelimit).toMatch(/^"policy";r=1;t=[0-9]+$/)
    expect((await send(key, { [name]: '2;w=3600' })).status).toBe(200)
    const refused = await send(key, { [name]: '2;w=3600' })
    expect(refused.status).toBe(429)
    expect(codeOf(refused)).toBe('rate_limit_exceeded')
    expect(refused.body.toString()).toContain('may send 2 requests in 3600 s')
    // A request that names none is none of its business.
    expect((await send(key, {})).status).toBe(200)
    expect(upstream.requests).toHaveLength(3)
    for (const { headers } of upstream.requests)
      expect(Object.keys(headers).join()).not.toContain('ratelimit')
  })
})

test('it narrows what the admin set and never widens it', async () => {
  const limits: readonly StoredLimit[] = [{ unit: 'requests', per: 'day', limit: 2 }]
  const { key } = await start({ limits })
  expect(await statuses(key, { 'latchkey-ratelimit-policy': '1000;w=60' }, 3)).toEqual([200, 200, 429])
  const { key: narrowed } = await start({ limits })
  expect(await statuses(narrowed, { 'latchkey-ratelimit-policy': '1;w=3600' }, 2)).toEqual([200, 429])
})

test('segments are counted apart, by user and by property, and each key has its own', async () => {
  const { key } = await start()
  const perUser = { 'latchkey-ratelimit-policy': '1;w=3600;s=user' }
  expect(await statuses(key, { ...perUser, 'latchkey-user-id': 'ada' }, 2)).toEqual([200, 429])
  expect(await statuses(key, { ...perUser, 'helicone-user-id': 'bob' }, 2)).toEqual([200, 429])
  const perTeam = { 'latchkey-ratelimit-policy': '1;w=3600;s=Team' }
  expect(await statuses(key, { ...perTeam, 'latchkey-property-team': 'ada' }, 2)).toEqual([200, 429])
  expect(await statuses(key, { ...perTeam, 'latchkey-property-Team': 'red' }, 1)).toEqual([200])
  const { key: other } = await start()
  expect(await statuses(other, { ...perUser, 'latchkey-user-id': 'ada' }, 1)).toEqual([200])
})

test('tokens are taken by the most that a request can use and corrected by what it used', async () => {
  const { key } = await start()
  const headers = { 'latchkey-ratelimit-policy': '1000;w=86400;u=token' }
  const left = async () => {
    const { headers: told } = await send(key, headers)
    expect(told['ratelimit-policy']).toBe('"policy";q=1000;qu="tokens";w=86400')
    return Number(/r=([0-9]+)/.exec(String(told.ratelimit))?.[1])
  }
  const first = await left()
  expect(first).toBeLessThan(950)
  expect(await left()).toBe(first - 50)
})

test('cents count what requests did cost, to the nano-dollar, on a key without a budget', async () => {
  const upstream = await startFakeUpstream(
    answerJson({ choices: [], usage: { prompt_tokens: 0, completion_tokens: 20_000 } }),
  )
  const key = await gateway.keyFor({ baseUrl: upstream.baseUrl, provider: 'openai' })
  const headers = { 'latchkey-ratelimit-policy': '1;w=86400;u=cents' }
  // 20,000 tokens at 0.40 dollars a million: 0.8 cents.
  const first = await askJson(gateway.url, chat, { ...body, max_completion_tokens: 20_000 }, { key, headers })
  expect(first.headers['ratelimit-policy']).toBe('"policy";q=1;qu="cents";w=86400')
  expect(first.headers.ratelimit).toMatch(/^"policy";r=0;t=[0-9]+$/)
  const [record] = await gateway.records(key)
  expect(parseUsd(record?.costUsd ?? '')).toBe(8_000_000n)
  // 0.2 cents are left: room for a bound below that, and for no other.
  const larger = await askJson(gateway.url, chat, { ...body, max_completion_tokens: 5_100 }, { key, headers })
  expect(larger.status).toBe(429)
  expect(larger.body.toString()).toContain('may cost $0.01 in 86400 s')
  expect((await send(key, headers)).status).toBe(200)
})

test('cents of what nobody can price are refused, and nothing is sent', async () => {
  const { key, upstream } = await start()
  const headers = { 'latchkey-ratelimit-policy': '100;w=60;u=cents' }
  const unpriced = await askJson(gateway.url, chat, { ...body, model: 'nobody-knows' }, { key, headers })
  expect([unpriced.status, codeOf(unpriced)]).toEqual([400, 'unpriced_model'])
  const form = new FormData()
  form.set('model', 'whisper-1')
  form.set('file', new Blob(['audio']), 'a.wav')
  const encoded = new Response(form)
  const upload = await ask(gateway.url, '/v1/audio/transcriptions', {
    key,
    headers: { ...headers, 'content-type': encoded.headers.get('content-type') ?? '' },
    body: Buffer.from(await encoded.arrayBuffer()),
  })
  expect([upload.status, codeOf(upload)]).toEqual([400, 'unsupported_parameter'])
  expect(upload.body.toString()).toContain('latchkey-ratelimit-policy')
  expect(upstream.requests).toHaveLength(0)
})

test.each([
  ['', 'quota'],
  ['0;w=60', 'quota'],
  ['-1;w=60', 'quota'],
  ['1.5;w=60', 'quota'],
  ['1e3;w=60', 'quota'],
  ['1000000001;w=60', 'quota'],
  ['10000001;w=60;u=cents', 'quota'],
  ['w=60', 'quota'],
  ['10', 'window'],
  ['10;w=', 'must be <quota>'],
  ['10;w=0', 'window'],
  ['10;w=86401', 'window'],
  ['10;w=60s', 'window'],
  ['10;w=60;w=60', 'says w twice'],
  ['10;w=60;u=dollars', 'has a u'],
  ['10;w=60;u=request;u=token', 'says u twice'],
  ['10;w=60;x=1', 'must be <quota>'],
  ['10;w=60;', 'must be <quota>'],
  ['10,w=60', 'quota'],
  ['10;w=60;s=user', 'segment'],
  ['10;w=60;s=team', 'segment'],
  ['10;w=60;s=__proto__', 'segment'],
  ['10;w=60, 20;w=60', 'must be <quota>'],
])('%j is a 400 that names the header and what is wrong: %s', async (value, wrong) => {
  const refused = await send(await malformedKey, { 'helicone-ratelimit-policy': value })
  expect(refused.status).toBe(400)
  const { error } = JSON.parse(refused.body.toString())
  expect(error).toMatchObject({ code: 'invalid_request', param: 'helicone-ratelimit-policy' })
  expect(error.message).toContain('helicone-ratelimit-policy')
  expect(error.message).toContain(wrong)
})
const malformedKey = gateway.keyFor({ baseUrl: 'http://127.0.0.1:9/v1' })

test('two that differ are a 400; two that say the same are one', async () => {
  const { key, upstream } = await start()
  const differing = { 'latchkey-ratelimit-policy': '5;w=60', 'helicone-ratelimit-policy': '6;w=60' }
  expect(await statuses(key, differing, 1)).toEqual([400])
  expect((await send(key, { 'latchkey-ratelimit-policy': ['5;w=60', '6;w=60'] })).status).toBe(400)
  const same = { 'latchkey-ratelimit-policy': '1;w=3600', 'helicone-ratelimit-policy': '1;w=3600' }
  expect(await statuses(key, same, 2)).toEqual([200, 429])
  expect(upstream.requests).toHaveLength(1)
})

test('segments in debt are still counted apart after their window, and make no room for more', {
  timeout: 120_000,
}, async () => {
  const { key } = await start()
  const { key: other } = await start()
  const perUser = { 'latchkey-ratelimit-policy': '1;w=3;u=token;s=user' }
  const named = (user: string) => send(key, { ...perUser, 'latchkey-user-id': user })
  for (let batch = 0; batch < 1_000; batch += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, (_, user) => named(`${batch + user}`)))
    for (const { status } of answers) expect(status).toBe(200)
  }
  // Each looks at some segments for one that may go.
  const windowOver = performance.now() + 3_100
  for (let sent = 0; sent < 300 || performance.now() < windowOver; sent++)
    await send(other, { ...perUser, 'latchkey-user-id': 'ada' })
  expect((await named('one more')).headers['ratelimit-policy']).toBe('"policy";q=1;qu="tokens";w=4')
})
