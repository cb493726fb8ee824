import { afterAll, expect, test } from 'vitest'
import { bestOfThree } from '../support/best-of.ts'
import { answerBytes, answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson } from '../support/http-client.ts'

const gateway = await startTestGateway({ LATCHKEY_TRUSTED_PROXIES: '127.0.0.0/8,10.0.0.0/8' })
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'
const completion = {
  model: 'gpt-5-nano-2025-08-07',
  choices: [],
  usage: {
    prompt_tokens: 100,
    prompt_tokens_details: { cached_tokens: 64, audio_tokens: 3 },
    completion_tokens: 50,
    completion_tokens_details: { reasoning_tokens: 20, audio_tokens: 4 },
  },
}

test('a record can be read within a second of its answer', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(upstream)
  let sent = 0
  const took = await bestOfThree(1_000, async () => {
    sent += 1
    await askJson(gateway.url, chat, {}, { key })
    const answered = performance.now()
    await gateway.records(key, sent)
    return performance.now() - answered
  })
  expect(took).toBeLessThan(1_000)
})

test('a record tells all that is known of a request, and there is exactly one', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(upstream)
  const body = '{"model":"gpt-5-nano"}'
  const before = Date.now()
  const answer = await askJson(gateway.url, `${chat}?secret=query`, body, {
    key,
    headers: {
      'latchkey-user-id': 'ada',
      'helicone-session-id': 'session-1',
      'latchkey-property-Team': 'red',
      'helicone-property-app': 'é'.repeat(300),
      'x-forwarded-for': '9.9.9.9, 203.0.113.7, 10.1.1.1',
    },
  })
  const records = await gateway.records(key)
  expect(records).toEqual([
    {
      id: answer.headers['latchkey-request-id'],
      keyId: key.id,
      keyName: expect.stringMatching(/^key-/),
      groupId: null,
      providerKeyId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      provider: 'openai-compatible',
      method: 'POST',
      endpoint: chat,
      model: 'gpt-5-nano',
      responseModel: 'gpt-5-nano-2025-08-07',
      status: 200,
      code: null,
      attempts: 1,
      inputTokens: 100,
      cachedInputTokens: 64,
      outputTokens: 50,
      reasoningTokens: 20,
      inputAudioTokens: 3,
      outputAudioTokens: 4,
      usageMissing: false,
      streamed: false,
      disconnected: false,
      truncated: false,
      requestBytes: body.length,
      responseBytes: answer.body.length,
      timeToFirstByteMs: expect.any(Number),
      durationMs: expect.any(Number),
      clientIp: '203.0.113.7',
      userId: 'ada',
      sessionId: 'session-1',
      properties: { team: 'red', app: expect.stringMatching(/^.{256}$/) },
      startedAt: expect.any(String),
      costUsd: null,
      heldUsd: null,
      estimated: false,
      priceVersion: null,
    },
  ])
  const [record] = records
  expect(Date.parse(record?.startedAt ?? '')).toBeGreaterThanOrEqual(before)
  expect(record?.timeToFirstByteMs ?? -1).toBeGreaterThan(0)
  expect(record?.durationMs ?? -1).toBeGreaterThanOrEqual(record?.timeToFirstByteMs ?? 0)
})

test('names in UTF-8 are recorded as they were meant, those in Latin-1 too', async () => {
  const key = await gateway.keyFor(await startFakeUpstream(answerJson(completion)))
  const bytes = (text: string) => Buffer.from(text).toString('latin1')
  const names = { 'latchkey-user-id': bytes('Zoë 漢字 🙂'), 'latchkey-session-id': 'Zoë' }
  const headers = { 'content-type': 'application/json', ...names }
  // A body that is a text would make Node's client write the head in UTF-8, too.
  await ask(gateway.url, chat, { key, headers, body: Buffer.from('{}') })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ userId: 'Zoë 漢字 🙂', sessionId: 'Zoë' })
})

test('usage is read from a JSON answer of any size, wherever it stands in it', async () => {
  const large = 'x'.repeat(300_000)
  const answers = [
    { ...completion, data: large },
    { data: [{ b64_json: large, usage: { prompt_tokens: 1 } }], ...completion },
  ]
  for (const value of answers) {
    const key = await gateway.keyFor(await startFakeUpstream(answerJson(value)))
    await askJson(gateway.url, chat, {}, { key })
    const [record] = await gateway.records(key)
    expect(record).toMatchObject({ responseModel: completion.model, inputTokens: 100, outputTokens: 50 })
  }
})

test.each([
  ['there is none', { choices: [] }],
  ['it is null', { usage: null }],
  ['it is no object', { usage: 'none' }],
])('an answer without usage is recorded as missing it: %s', async (_title, value) => {
  const key = await gateway.keyFor(await startFakeUpstream(answerJson(value)))
  await askJson(gateway.url, chat, {}, { key })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 200, usageMissing: true, inputTokens: null, outputTokens: null })
})

test('counts that are no counts don’t reach the books', async () => {
  const usage = {
    prompt_tokens: -1,
    completion_tokens: 1.5,
    completion_tokens_details: { reasoning_tokens: '9' },
  }
  const key = await gateway.keyFor(await startFakeUpstream(answerJson({ usage: { ...usage, x: 1e300 } })))
  await askJson(gateway.url, chat, {}, { key })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({
    usageMissing: false,
    inputTokens: null,
    outputTokens: null,
    reasoningTokens: null,
  })
})

test('an answer that came encoded all the same is passed on and recorded as missing its usage', async () => {
  const lines = 'content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4'
  const key = await gateway.keyFor(
    await startFakeUpstream(answerBytes(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\n\x1f\x8b\b\0`)),
  )
  const answer = await askJson(gateway.url, chat, {}, { key })
  expect(answer.headers['content-encoding']).toBe('gzip')
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ status: 200, usageMissing: true })
})

test('every refusal of a known key is a record with its code', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream, { models: ['m'], endpoints: ['/v1/chat/*', '/v1/embeddings'] })
  await askJson(gateway.url, chat, { model: 'other' }, { key })
  await ask(gateway.url, '/v1/files', { key })
  await askJson(gateway.url, chat, '{', { key })
  await ask(gateway.url, '/nobody/v1/files', { key })
  const records = await gateway.records(key, 4)
  expect(records.map(({ status, code, model, attempts }) => [status, code, model, attempts])).toEqual([
    [403, 'model_not_allowed', null, 0],
    [403, 'endpoint_not_allowed', null, 0],
    [400, 'invalid_json', null, 0],
    [404, 'not_found', null, 0],
  ])
  expect(upstream.requests).toHaveLength(0)
})

test('refusals of unknown keys are counted by code and leave no record', async () => {
  const count = async (code: string) =>
    (await gateway.refusals()).filter((row) => row.code === code).reduce((sum, row) => sum + row.count, 0)
  const before = { missing: await count('missing_api_key'), invalid: await count('invalid_api_key') }
  const key = { id: '', token: 'lk_nonsense' }
  await Promise.all(Array.from({ length: 20 }, () => ask(gateway.url, '/v1/models')))
  await Promise.all(Array.from({ length: 30 }, () => ask(gateway.url, '/v1/models', { key })))
  await expect.poll(() => count('missing_api_key')).toBe(before.missing + 20)
  await expect.poll(() => count('invalid_api_key')).toBe(before.invalid + 30)
  const response = await fetch(`${gateway.adminUrl}/api/requests?limit=1000`, {
    headers: { authorization: `Bearer ${gateway.adminToken}` },
  })
  expect(await response.text()).not.toContain('/v1/models')
})
