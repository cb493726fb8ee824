import { randomBytes } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import {
  answerBytes,
  answerJson,
  event,
  startFakeUpstream,
  type UpstreamHandler,
} from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, codeOf } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'
const fine = answerJson({ fine: true })
const refusing = { baseUrl: 'http://127.0.0.1:1/v1' }

/** Answers each request with the next of `handlers`, the last one for good. */
function inTurn(...handlers: readonly UpstreamHandler[]): UpstreamHandler {
  let count = 0
  return (exchange) => handlers[Math.min(count++, handlers.length - 1)]?.(exchange)
}

test('without retries a failing answer is passed on at once', async () => {
  const upstream = await startFakeUpstream(inTurn(answerJson({ e: 1 }, 500), fine))
  const key = await gateway.keyFor(upstream)
  expect((await askJson(gateway.url, chat, {}, { key })).status).toBe(500)
  expect(upstream.requests).toHaveLength(1)
})

test('failing answers and broken connections are retried, each time with the same bytes', async () => {
  const upstream = await startFakeUpstream(
    inTurn(answerJson({ e: 1 }, 500), answerBytes('', 'reset'), answerJson({ e: 3 }, 429), fine),
  )
  const key = await gateway.keyFor(upstream, { retries: 3 })
  const body = '{"n": 12345678901234567890, "s": "é"}'
  const answer = await askJson(gateway.url, `${chat}?q=1`, body, { key })
  expect([answer.status, answer.body.toString()]).toEqual([200, '{"fine":true}'])
  expect(upstream.requests.map((request) => request.body().toString())).toEqual(Array(4).fill(body))
  expect(new Set(upstream.requests.map(({ url }) => url))).toEqual(new Set([`${chat}?q=1`]))
  const records = await gateway.records(key)
  expect(records).toMatchObject([{ status: 200, attempts: 4 }])
})

test('the last failing answer is passed on unchanged', async () => {
  const last = 'HTTP/1.1 503 Busy\r\nx-request-id: last\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nlast'
  const upstream = await startFakeUpstream(inTurn(answerJson({ first: 1 }, 500), answerBytes(last)))
  const key = await gateway.keyFor(upstream, { retries: 1 })
  const answer = await askJson(gateway.url, chat, {}, { key })
  expect([answer.status, answer.body.toString()]).toEqual([503, 'last'])
  expect(answer.headers).toMatchObject({ 'x-request-id': 'last', 'retry-after': '7' })
  const records = await gateway.records(key)
  expect(records).toMatchObject([{ status: 503, code: null, attempts: 2 }])
})

test('retry-after is honoured', async () => {
  const times: number[] = []
  const upstream = await startFakeUpstream((exchange) => {
    times.push(performance.now())
    return times.length === 1 ? answerJson({}, 429, { 'retry-after': '1' })(exchange) : fine(exchange)
  })
  const key = await gateway.keyFor(upstream, { retries: 1 })
  expect((await askJson(gateway.url, chat, {}, { key })).status).toBe(200)
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(990)
})

test('a retry-after that asks for more patience than a client has is passed on', async () => {
  const upstream = await startFakeUpstream(inTurn(answerJson({}, 429, { 'retry-after': '11' }), fine))
  const key = await gateway.keyFor(upstream, { retries: 3 })
  const answer = await askJson(gateway.url, chat, {}, { key })
  expect([answer.status, answer.headers['retry-after']]).toEqual([429, '11'])
  expect(upstream.requests).toHaveLength(1)
})

test.each([400, 403, 404, 408, 409, 422])('a %i is the client’s business and not retried', async (status) => {
  const upstream = await startFakeUpstream(inTurn(answerJson({}, status), fine))
  const other = await startFakeUpstream(fine)
  const key = await gateway.keyFor([upstream, other], { retries: 3 })
  expect((await askJson(gateway.url, chat, {}, { key })).status).toBe(status)
  expect(upstream.requests.length + other.requests.length).toBe(1)
})

test.each([401, 429, 500, 502, 503, 529])(
  'a %i moves on to the next provider key, with its own secret',
  async (status) => {
    const first = await startFakeUpstream(answerJson({}, status, { 'retry-after': '9' }))
    const second = await startFakeUpstream(fine)
    const key = await gateway.keyFor([
      { baseUrl: first.baseUrl, secret: 'sk-first' },
      { baseUrl: second.baseUrl, secret: 'sk-second' },
    ])
    const started = performance.now()
    const answer = await askJson(gateway.url, chat, {}, { key })
    expect(answer.status).toBe(200)
    expect(performance.now() - started).toBeLessThan(8_500)
    expect(first.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer sk-first'])
    expect(second.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer sk-second'])
    const providerKeys = await gateway.vault.providerKeys.list(gateway.vault.defaultOrganizationId)
    const used = providerKeys.find(({ baseUrl }) => baseUrl === second.baseUrl)?.id
    const records = await gateway.records(key)
    expect(records).toMatchObject([{ status: 200, attempts: 2, providerKeyId: used }])
  },
)

test('a provider that can’t be reached moves on to the next provider key', async () => {
  const second = await startFakeUpstream(fine)
  const key = await gateway.keyFor([refusing, second])
  expect((await askJson(gateway.url, chat, {}, { key })).status).toBe(200)
  expect(await gateway.records(key)).toMatchObject([{ attempts: 2, code: null }])
})

test('rounds go through all provider keys, less those that the provider rejects', async () => {
  const rejected = await startFakeUpstream(answerJson({}, 401))
  const failing = await startFakeUpstream(answerJson({ e: 1 }, 500))
  const key = await gateway.keyFor([rejected, failing], { retries: 2 })
  expect((await askJson(gateway.url, chat, {}, { key })).status).toBe(500)
  expect([rejected.requests.length, failing.requests.length]).toEqual([1, 3])
  expect(await gateway.records(key)).toMatchObject([{ status: 500, attempts: 4 }])
})

test('nothing is retried once a byte has reached the client', async () => {
  const chunk = event({ choices: [] })
  const bytes = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${chunk.length.toString(16)}\r\n${chunk}\r\n`
  const upstream = await startFakeUpstream(answerBytes(bytes, 'reset'))
  const other = await startFakeUpstream(fine)
  const key = await gateway.keyFor([upstream, other], { retries: 3 })
  const answer = await askJson(gateway.url, chat, { stream: true }, { key })
  expect(answer.complete).toBe(false)
  expect([upstream.requests.length, other.requests.length]).toEqual([1, 0])
})

const sound = randomBytes(300_000)
const upload = { method: 'POST', headers: { 'content-type': 'audio/mpeg' }, body: sound }

test('an upload that has begun is never sent a second time: its failing answer is passed on', async () => {
  const upstream = await startFakeUpstream(inTurn(answerJson({ e: 1 }, 500), fine))
  const other = await startFakeUpstream(fine)
  const key = await gateway.keyFor([upstream, other], { retries: 3 })
  const answer = await ask(gateway.url, '/v1/files', { key, ...upload })
  expect([answer.status, answer.body.toString()]).toEqual([500, '{"e":1}'])
  expect([upstream.requests.length, other.requests.length]).toEqual([1, 0])
})

test('an upload that broke on its way is a 502 and not sent again', async () => {
  const upstream = await startFakeUpstream(({ socket }) => socket.resetAndDestroy(), { reads: false })
  const key = await gateway.keyFor(upstream, { retries: 3 })
  const answer = await ask(gateway.url, '/v1/files', { key, ...upload })
  expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
  expect(upstream.requests).toHaveLength(1)
})

test('an upload that could not begin goes to the next provider key, whole', async () => {
  const second = await startFakeUpstream(fine)
  const key = await gateway.keyFor([refusing, second])
  const answer = await ask(gateway.url, '/v1/files', { key, ...upload })
  expect(answer.status).toBe(200)
  expect(second.requests[0]?.body().equals(sound)).toBe(true)
})

test('a path that names a provider stays with the provider keys of that provider', async () => {
  const compatible = await startFakeUpstream(answerJson({}, 500))
  const openai = await startFakeUpstream(fine)
  const key = await gateway.keyFor([compatible, { baseUrl: openai.baseUrl, provider: 'openai' }])
  expect((await askJson(gateway.url, '/openai-compatible/v1/chat/completions', {}, { key })).status).toBe(500)
  expect(openai.requests).toHaveLength(0)
  expect((await askJson(gateway.url, '/openai/v1/chat/completions', {}, { key })).status).toBe(200)
})

test('a provider key that no longer opens is passed over, and is no attempt', async () => {
  const [moved, upstream] = [await startFakeUpstream(fine), await startFakeUpstream(fine)]
  const key = await gateway.keyFor([moved, upstream])
  const alone = await gateway.keyFor(moved, { limits: [{ unit: 'requests', per: 'minute', limit: 1 }] })
  await gateway.vault.changes.transact(async (trx) => {
    await trx
      .updateTable('provider_key')
      .set({ base_url: `${moved.baseUrl}/elsewhere` })
      .where('base_url', '=', moved.baseUrl)
      .execute()
  })
  expect((await askJson(gateway.url, chat, {}, { key })).status).toBe(200)
  expect(await gateway.records(key)).toMatchObject([{ status: 200, attempts: 1 }])
  // Nothing is taken of a rate limit by what was not sent.
  for (let count = 0; count < 2; count++)
    expect(codeOf(await askJson(gateway.url, chat, {}, { key: alone }))).toBe('internal_error')
  expect(await gateway.records(alone, 2)).toMatchObject(Array(2).fill({ status: 500, attempts: 0 }))
  expect(moved.requests).toHaveLength(0)
})
