import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { findCanaries, newSecret } from '../security/canary.ts'
import { answerEvents, answerJson, event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway, type TestGateway, type TestKey } from '../support/gateway.ts'
import { ask, askJson, connectTo } from '../support/http-client.ts'
import { type Scrape, scrape } from './scrape.ts'

const metricsToken = newSecret()
const gateway = await startTestGateway({ LATCHKEY_METRICS_TOKEN: metricsToken })
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'
// gpt-5-nano: $0.05 a million tokens in, $0.40 out.
const model = 'gpt-5-nano'
const usage = {
  prompt_tokens: 1_000,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens: 500,
  completion_tokens_details: { reasoning_tokens: 200 },
}
const completion = { object: 'chat.completion', model, choices: [], usage }
const body = { model, max_completion_tokens: 600, messages: [{ role: 'user', content: 'Hello' }] }

/** What a metric has grown by. */
type Growth = (name: string, labels?: Readonly<Record<string, string>>) => number

async function growth(of: TestGateway, during: () => Promise<unknown>): Promise<Growth> {
  const before = await scrape(of)
  await during()
  const after = await scrape(of)
  return (name, labels) => {
    expect(after.types.has(name.replace(/_(?:count|sum|bucket)$/, '')) || after.types.has(name)).toBe(true)
    return after.value(name, labels) - before.value(name, labels)
  }
}

async function openaiKey(
  options: Parameters<TestGateway['keyFor']>[1] = {},
  answers = answerJson(completion),
) {
  const upstream = await startFakeUpstream(answers)
  return { upstream, key: await gateway.keyFor({ ...upstream, provider: 'openai' }, options) }
}

test('requests, tokens, bytes and money are those that were sent', async () => {
  const { key } = await openaiKey()
  const grown = await growth(gateway, async () => {
    for (let sent = 0; sent < 5; sent++)
      expect((await askJson(gateway.url, chat, body, { key })).status).toBe(200)
  })
  expect(grown('latchkey_requests_total', { status: '2xx', code: 'none' })).toBe(5)
  expect(grown('latchkey_requests_total')).toBe(5)
  expect(grown('latchkey_attempts_total')).toBe(5)
  expect(grown('latchkey_provider_key_requests_total', { provider: 'openai', status: '2xx' })).toBe(5)
  expect(grown('latchkey_tokens_total', { type: 'input' })).toBe(5_000)
  expect(grown('latchkey_tokens_total', { type: 'output' })).toBe(2_500)
  expect(grown('latchkey_tokens_total', { type: 'reasoning' })).toBe(1_000)
  expect(grown('latchkey_cost_usd_total')).toBeCloseTo(5 * 0.00025, 9)
  expect(grown('latchkey_request_bytes_total')).toBe(5 * JSON.stringify(body).length)
  expect(grown('latchkey_response_bytes_total')).toBe(5 * JSON.stringify(completion).length)
  const whole = { provider: 'openai', streamed: 'false' }
  for (const name of ['latchkey_request_duration_seconds', 'latchkey_time_to_first_byte_seconds'])
    expect(grown(`${name}_count`, whole)).toBe(5)
  expect(grown('latchkey_overhead_seconds_count')).toBe(5)
})

test('a stream’s times are kept apart, and its first byte is not its last', async () => {
  const { key } = await openaiKey({}, async ({ request, response }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event({ choices: [] }))
    await sleep(1_500)
    response.end(event({ choices: [], usage }) + event('[DONE]'))
  })
  const grown = await growth(gateway, () => askJson(gateway.url, chat, { ...body, stream: true }, { key }))
  const streamed = { provider: 'openai', streamed: 'true' }
  expect(grown('latchkey_request_duration_seconds_count', streamed)).toBe(1)
  const duration = grown('latchkey_request_duration_seconds_sum', streamed)
  expect(duration).toBeGreaterThan(1.49)
  expect(grown('latchkey_time_to_first_byte_seconds_sum', streamed)).toBeLessThan(duration - 0.5)
})

test('the overhead is the gateway’s own time: neither a slow provider nor a slow client is in it', async () => {
  const { key } = await openaiKey({}, async (exchange) => {
    await sleep(1_500)
    await answerJson(completion)(exchange)
  })
  // The first request of a key waits for the database and argon2, which are ours.
  await askJson(gateway.url, chat, body, { key })
  const text = JSON.stringify(body)
  const grown = await growth(gateway, async () => {
    const connection = connectTo(gateway.url)
    connection.socket.write(
      `POST ${chat} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${key.token}\r\n` +
        `content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text.slice(0, 10)}`,
    )
    await sleep(1_500)
    connection.socket.write(text.slice(10))
    await connection.until('chat.completion')
  })
  expect(grown('latchkey_overhead_seconds_count')).toBe(1)
  expect(grown('latchkey_request_duration_seconds_sum')).toBeGreaterThan(2.9)
  const own = grown('latchkey_overhead_seconds_sum')
  expect(own).toBeGreaterThan(0)
  expect(own).toBeLessThan(1)
})

test('refusals are counted by their code, those of unknown keys, unknown bytes and GET /key too', async () => {
  const { key } = await openaiKey({ models: ['other'] })
  const bogus = { id: '', token: `lk_${'a'.repeat(12)}_${'b'.repeat(49)}` }
  const grown = await growth(gateway, async () => {
    expect((await askJson(gateway.url, chat, body, { key })).status).toBe(403)
    expect((await askJson(gateway.url, chat, body, { key: bogus })).status).toBe(401)
    expect((await ask(gateway.url, '/v1/models')).status).toBe(401)
    expect((await ask(gateway.url, '/key', { key: bogus })).status).toBe(401)
    const connection = connectTo(gateway.url)
    connection.socket.write('no HTTP at all\r\n\r\n')
    expect(String(await connection.ended)).toContain('400 Bad Request')
  })
  const counted = (code: string, status: string) => grown('latchkey_requests_total', { code, status })
  expect(counted('model_not_allowed', '4xx')).toBe(1)
  expect(counted('invalid_api_key', '4xx')).toBe(2)
  expect(counted('missing_api_key', '4xx')).toBe(1)
  expect(counted('invalid_request', '4xx')).toBe(1)
  expect(grown('latchkey_requests_total')).toBe(5)
  expect(grown('latchkey_attempts_total')).toBe(0)
  expect(grown('latchkey_overhead_seconds_count')).toBe(0)
})

test('a provider’s errors, its retries, and answers that break off are told apart', async () => {
  const flaky = await openaiKey({ retries: 1 }, (exchange) => {
    const again = flaky.upstream.requests.length > 1
    return answerJson(again ? completion : {}, again ? 200 : 500)(exchange)
  })
  const cut = await openaiKey({}, async ({ request, response, socket }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event({ choices: [] }), () => socket.destroy())
  })
  const refusing = await openaiKey({}, answerJson({}, 429))
  const gone = await gateway.keyFor({ baseUrl: 'http://127.0.0.1:9/v1', provider: 'openai' })
  const keys = [flaky.key, cut.key, refusing.key, gone]
  const grown = await growth(gateway, async () => {
    for (const key of keys) await askJson(gateway.url, chat, body, { key })
  })
  const records = (await Promise.all(keys.map((key) => gateway.records(key)))).flat()
  expect(records.map(({ status, truncated }) => [status, truncated])).toEqual([
    [200, false],
    [200, true],
    [429, false],
    [502, false],
  ])
  expect(grown('latchkey_requests_total', { status: '2xx' })).toBe(2)
  expect(grown('latchkey_requests_total', { status: '4xx', code: 'none' })).toBe(1)
  expect(grown('latchkey_requests_total', { status: '5xx', code: 'upstream_unreachable' })).toBe(1)
  expect(grown('latchkey_attempts_total')).toBe(5)
  expect(grown('latchkey_truncated_answers_total')).toBe(1)
  expect(grown('latchkey_usage_missing_total')).toBe(1)
})

test('a client that leaves is counted as such, and as no error of anybody’s', async () => {
  const { key, upstream } = await openaiKey({}, () => new Promise(() => {}))
  const left = upstream.next()
  const grown = await growth(gateway, async () => {
    const connection = connectTo(gateway.url)
    connection.socket.write(
      `GET /v1/models HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${key.token}\r\n\r\n`,
    )
    const request = await left
    connection.socket.destroy()
    await request.closed
    await gateway.records(key)
  })
  expect(grown('latchkey_client_disconnects_total')).toBe(1)
  expect(grown('latchkey_requests_total', { code: 'client_left' })).toBe(1)
  expect(grown('latchkey_requests_total')).toBe(1)
})

test('holds are counted by their outcome, and leases are what the process has of the budgets', async () => {
  const { key } = await openaiKey({ budgets: [{ limitUsd: '0.001', period: 'total' }] })
  const grown = await growth(gateway, async () => {
    const leased = await growth(gateway, async () =>
      expect((await askJson(gateway.url, chat, body, { key })).status).toBe(200),
    )
    // Two seconds later it may have gone back.
    expect(leased('latchkey_leases')).toBe(1)
    expect(leased('latchkey_leases_outstanding_usd')).toBeGreaterThan(0)
    const dear = { ...body, max_completion_tokens: 50_000 }
    expect((await askJson(gateway.url, chat, dear, { key })).status).toBe(429)
  })
  expect(grown('latchkey_holds_total', { outcome: 'held' })).toBe(1)
  expect(grown('latchkey_holds_total', { outcome: 'exhausted' })).toBeGreaterThanOrEqual(1)
  expect(grown('latchkey_requests_total', { code: 'insufficient_quota' })).toBe(1)
  expect(grown('latchkey_lease_statements_total')).toBeGreaterThanOrEqual(1)
  const after = await scrape(gateway)
  expect(after.value('latchkey_holds_open')).toBe(0)
  expect(after.value('latchkey_leases_held_usd')).toBe(0)
})

test('verifications tell warm from cold, and argon2 runs once a key', async () => {
  const { key } = await openaiKey()
  const grown = await growth(gateway, async () => {
    for (let sent = 0; sent < 3; sent++) await askJson(gateway.url, chat, body, { key })
    await askJson(gateway.url, chat, body, { key: { id: '', token: 'lk_no_key_of_ours' } })
  })
  // A change of any key makes the next request read again: here, that of the one that was just made.
  expect(grown('latchkey_verifications_total', { path: 'cold', result: 'verified' })).toBeGreaterThanOrEqual(
    1,
  )
  expect(grown('latchkey_verifications_total', { path: 'warm', result: 'verified' })).toBeGreaterThanOrEqual(
    1,
  )
  expect(grown('latchkey_verifications_total', { result: 'verified' })).toBe(3)
  expect(grown('latchkey_verifications_total', { path: 'warm', result: 'malformed' })).toBe(1)
  expect(grown('latchkey_argon2_runs_total')).toBe(1)
})

test('requests in flight, their places in the queue and their bytes are there while they last', async () => {
  const { key, upstream } = await openaiKey({}, () => {})
  const held = upstream.next()
  const answering = askJson(gateway.url, chat, body, { key })
  await held
  const during = await scrape(gateway)
  expect(during.value('latchkey_requests_in_flight')).toBe(1)
  expect(during.value('latchkey_record_places_taken')).toBeGreaterThanOrEqual(1)
  expect(during.value('latchkey_record_places')).toBe(20_000)
  expect(during.value('latchkey_buffered_bytes')).toBeGreaterThanOrEqual(JSON.stringify(body).length)
  await upstream.close()
  await answering
  await gateway.records(key)
  const after = await scrape(gateway)
  expect(after.value('latchkey_requests_in_flight')).toBe(0)
  expect(after.value('latchkey_buffered_bytes')).toBe(0)
})

test('the process tells of its memory, its CPU time and its event loop', async () => {
  const page = await scrape(gateway)
  expect(page.value('process_resident_memory_bytes')).toBeGreaterThan(2 ** 24)
  expect(page.value('process_cpu_seconds_total')).toBeGreaterThan(0)
  expect(page.value('latchkey_event_loop_active_seconds_total')).toBeGreaterThan(0)
  expect(page.samples.filter(({ name }) => name === 'latchkey_event_loop_delay_seconds')).toHaveLength(4)
  expect(page.value('process_start_time_seconds')).toBeCloseTo(performance.timeOrigin / 1000, 0)
  expect(page.value('latchkey_build_info', { mode: 'embedded' })).toBe(1)
})

test('the token for metrics opens metrics and nothing else', async () => {
  expect((await scrape(gateway, metricsToken)).samples.length).toBeGreaterThan(100)
  const headers = { authorization: `Bearer ${metricsToken}` }
  expect((await ask(gateway.adminUrl, '/api/status', { headers })).status).toBe(401)
  expect((await ask(gateway.url, '/v1/models', { headers })).status).toBe(401)
})

test('whatever clients send, there is not a series more, and nothing of it in any', {
  timeout: 60_000,
}, async () => {
  const { key } = await openaiKey()
  const canary = newSecret()
  await flood(gateway, key, canary, 20)
  const before = await scrape(gateway)
  await flood(gateway, key, canary, 300)
  const after = await scrape(gateway)
  expect(seriesOf(after)).toEqual(seriesOf(before))
  expect(after.value('latchkey_requests_total')).toBeGreaterThan(
    before.value('latchkey_requests_total') + 1_500,
  )
  const canaries = [key.token, gateway.adminToken, metricsToken, canary].map((text) => ({
    name: text.slice(0, 6),
    bytes: Buffer.from(text),
  }))
  expect(findCanaries(canaries, [['/metrics', after.text]])).toEqual([])
  for (const text of [key.id, 'bogus', model]) expect(after.text).not.toContain(text)
})

/** Names of everything that a client can choose, all different, and secrets in the middle of them. */
async function flood(of: TestGateway, key: TestKey, canary: string, rounds: number): Promise<void> {
  const words = Array.from({ length: rounds }, () => `bogus${randomBytes(9).toString('hex')}${canary}`)
  const lane = async () => {
    for (let word = words.pop(); word !== undefined; word = words.pop()) {
      const headers = { 'latchkey-user-id': word, 'latchkey-property-team': word, 'user-agent': word }
      await askJson(of.url, chat, { ...body, model: word, user: word }, { key, headers })
      await askJson(of.url, `/v1/${word}?key=${word}`, { model: word }, { key, headers })
      await askJson(of.url, chat, { model: word }, { key: { id: '', token: word }, headers })
      await ask(of.url, `/${word}/v1/models`, { key, headers })
      await ask(of.url, '/v1/models', { method: 'PURGE', key, headers })
      await ask(of.url, `/v1/models/${word}`, { headers })
    }
  }
  await Promise.all([lane(), lane(), lane(), lane()])
}

function seriesOf({ samples }: Scrape): readonly string[] {
  return samples.map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`).sort()
}

test('an event stream that tells its usage is counted like any other answer', async () => {
  const { key } = await openaiKey({}, answerEvents([event({ choices: [], usage }), event('[DONE]')]))
  const grown = await growth(gateway, () => askJson(gateway.url, chat, { ...body, stream: true }, { key }))
  expect(grown('latchkey_tokens_total', { type: 'output' })).toBe(500)
})
