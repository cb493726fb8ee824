import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway, type TestGateway, type TestKey } from '../support/gateway.ts'
import { ask, type HttpAnswer } from '../support/http-client.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

// A Postgres and a gateway start, and the first of them starts again.
vi.setConfig({ testTimeout: 60_000 })

let postgres: TestPostgres
let gateway: TestGateway
beforeAll(async () => {
  postgres = await startPostgres()
  gateway = await startTestGateway({ DATABASE_URL: postgres.url(await postgres.createDatabase()) })
})
afterAll(async () => {
  await gateway.stop()
  await postgres.discard()
})

const model = 'gpt-5-nano'
const usage = { prompt_tokens: 2, completion_tokens: 5 }

function chat(key: TestKey): Promise<HttpAnswer> {
  return ask(gateway.url, '/v1/chat/completions', {
    key,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, max_tokens: 5, messages: [{ role: 'user', content: 'Hello' }] }),
  })
}

test('without Postgres and without a lease a budget can’t pay: 503, until Postgres is back', async () => {
  const upstream = await startFakeUpstream(
    answerJson({ object: 'chat.completion', model, choices: [], usage }),
  )
  const provider = { ...upstream, provider: 'openai' }
  const spender = await gateway.keyFor(provider, { budgets: [{ limitUsd: '1', period: 'total' }] })
  const free = await gateway.keyFor(provider)
  // Known to the gateway, so that nothing of it but its budget needs Postgres.
  for (const key of [spender, free]) expect((await ask(gateway.url, '/v1/models', { key })).status).toBe(200)

  await postgres.kill()
  const refused = await chat(spender)
  expect(refused.status).toBe(503)
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
  const { error } = JSON.parse(refused.body.toString())
  expect(error).toMatchObject({ code: 'budget_unavailable', type: 'api_error', param: null })
  expect(error.message).not.toBe('')
  expect((await chat(free)).status).toBe(200)

  await postgres.start()
  await vi.waitFor(async () => expect((await chat(spender)).status).toBe(200), {
    timeout: 15_000,
    interval: 100,
  })
  // What was refused never reached the provider.
  expect(upstream.requests.filter(({ url }) => url.endsWith('/chat/completions'))).toHaveLength(2)
})
