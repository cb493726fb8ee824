import type { ServerResponse } from 'node:http'
import type { StoredLimit } from '@latchkey/shared'
import { afterAll, expect, test } from 'vitest'
import { answerJson, type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, codeOf } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'
const body = { model: 'gpt-5-nano', max_completion_tokens: 10, messages: [{ role: 'user', content: 'hi' }] }
const completion = { choices: [], usage: { prompt_tokens: 40, completion_tokens: 10 } }
const perDay = (limit: number): StoredLimit => ({ unit: 'requests', per: 'day', limit })
const tokensPerDay = (limit: number): StoredLimit => ({ unit: 'tokens', per: 'day', limit })
const slots = (limit: number): StoredLimit => ({ unit: 'concurrency', limit })

/** An upstream whose provider key has these limits. */
async function limited(upstream: FakeUpstream, ...limits: readonly StoredLimit[]) {
  return { baseUrl: upstream.baseUrl, limits }
}

test('what all proxy keys send with a provider key counts in its limits, and no holder is told them', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(await limited(upstream, perDay(2)), { limits: [perDay(50)] })
  for (let sent = 0; sent < 2; sent++) {
    const answer = await askJson(gateway.url, chat, body, { key })
    expect(answer.status).toBe(200)
    expect(answer.headers['ratelimit-policy']).toBe('"key-rpd";q=50;w=86400')
  }
  const refused = await askJson(gateway.url, chat, body, { key })
  expect(refused.status).toBe(429)
  expect(codeOf(refused)).toBe('rate_limit_exceeded')
  expect(refused.body.toString()).toContain('The provider key behind this API key is at its rate limit.')
  expect(refused.headers['retry-after']).toMatch(/^4[23][0-9]{3}$/)
  expect(refused.headers['ratelimit-policy']).toBe('"key-rpd";q=50;w=86400')
  // All or none: what the provider key refused took nothing of the key's own limit.
  expect(refused.headers.ratelimit).toContain('"key-rpd";r=48')
  expect(upstream.requests).toHaveLength(2)
  const own = await ask(gateway.url, '/key', { key })
  expect(JSON.parse(own.body.toString())).toMatchObject({ limits: [{ scope: 'key', limit: 50 }] })
})

test('a provider key at its limits is passed over for the next one, and all of them at theirs are a 429', async () => {
  const first = await startFakeUpstream(answerJson(completion))
  const second = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor([await limited(first, perDay(1)), await limited(second, perDay(2))])
  const statuses: number[] = []
  for (let sent = 0; sent < 5; sent++) statuses.push((await askJson(gateway.url, chat, body, { key })).status)
  expect(statuses).toEqual([200, 200, 200, 429, 429])
  expect([first.requests.length, second.requests.length]).toEqual([1, 2])
  const records = await gateway.records(key, 5)
  expect(records.map(({ attempts, code }) => [attempts, code])).toEqual([
    [1, null],
    [1, null],
    [1, null],
    [0, 'rate_limit_exceeded'],
    [0, 'rate_limit_exceeded'],
  ])
})

test('a failover takes the limits of the provider key that it goes to, and of no other again', async () => {
  const failing = await startFakeUpstream(answerJson({}, 503))
  const sound = await startFakeUpstream(answerJson(completion))
  const providers = [await limited(failing, perDay(3)), await limited(sound, perDay(2))]
  const key = await gateway.keyFor(providers, { limits: [perDay(10)] })
  const answers = []
  for (let sent = 0; sent < 4; sent++) answers.push(await askJson(gateway.url, chat, body, { key }))
  // The third is sent to the failing one and refused by the other's limit; then both are at their limits.
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 429])
  expect([failing.requests.length, sound.requests.length]).toEqual([3, 2])
  // One request each, whatever its attempts; the last was not sent.
  expect(answers[3]?.headers.ratelimit).toContain('"key-rpd";r=7')
})

test('what an attempt has not used comes back: its tokens at its end, all of it where it was not sent', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const poor = { baseUrl: upstream.baseUrl, limits: [perDay(5), tokensPerDay(1_000)] }
  const key = await gateway.keyFor(poor)
  const wide = { ...body, max_completion_tokens: 700 }
  for (let sent = 0; sent < 5; sent++)
    expect((await askJson(gateway.url, chat, wide, { key })).status).toBe(200)
  expect((await askJson(gateway.url, chat, wide, { key })).status).toBe(429)
  // Its budget refuses what its limits have let through, again and again.
  const penniless = await gateway.keyFor({
    ...{ baseUrl: upstream.baseUrl, provider: 'openai', limits: [perDay(1)] },
    budgets: [{ period: 'total', limitUsd: '0.000000001' }],
  })
  for (let tried = 0; tried < 3; tried++)
    expect(codeOf(await askJson(gateway.url, chat, body, { key: penniless }))).toBe('insufficient_quota')
  expect(upstream.requests).toHaveLength(5)
})

test('a slot of a provider key is free again when its attempt has ended', async () => {
  const waiting: ServerResponse[] = []
  const upstream = await startFakeUpstream(({ response }) => waiting.push(response))
  const key = await gateway.keyFor(await limited(upstream, slots(1)))
  const arrived = upstream.next()
  const long = askJson(gateway.url, chat, body, { key })
  await arrived
  const refused = await askJson(gateway.url, chat, body, { key })
  expect(refused.status).toBe(429)
  expect(refused.headers['retry-after']).toBe('1')
  waiting[0]?.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  expect((await long).status).toBe(200)
  upstream.handle(answerJson(completion))
  expect((await askJson(gateway.url, chat, body, { key })).status).toBe(200)
})

test('a body that can’t be read is refused where tokens of its provider key are limited', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(await limited(upstream, tokensPerDay(1_000)))
  const answer = await ask(gateway.url, chat, { key, body: 'x', headers: { 'content-type': 'text/plain' } })
  expect(answer.status).toBe(415)
  expect(upstream.requests).toHaveLength(0)
})
