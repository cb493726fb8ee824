import { holderKeyWire, type ProxyKeyId } from '@latchkey/shared'
import { afterAll, expect, test } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway, type TestKey, type TestKeyOptions } from '../support/gateway.ts'
import { ask } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const model = 'gpt-5-nano'
const answer = (input: number, output: number) =>
  answerJson({ model, choices: [], usage: { prompt_tokens: input, completion_tokens: output } })

async function openaiKey(options: TestKeyOptions) {
  const upstream = await startFakeUpstream(answer(1_000, 500))
  return { upstream, key: await gateway.keyFor({ ...upstream, provider: 'openai' }, options) }
}

const chat = (key: TestKey, fields: object = {}) =>
  ask(gateway.url, '/v1/chat/completions', {
    key,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [], max_completion_tokens: 600, ...fields }),
  })

async function view(key: TestKey) {
  const { status, body, headers } = await ask(gateway.url, '/key', { key })
  expect(status).toBe(200)
  expect(headers['cache-control']).toBe('no-store')
  return holderKeyWire.parse(JSON.parse(body.toString()))
}

test('a holder sees what the key may do, what it has spent, and what is left', async () => {
  const expiresAt = new Date(Date.now() + 3_600_000)
  const { key } = await openaiKey({
    budgets: [
      { limitUsd: '2', period: 'day' },
      { limitUsd: '20', period: 'total' },
    ],
    limits: [{ unit: 'requests', per: 'minute', limit: 60 }],
    models: ['gpt-5-*'],
    expiresAt,
  })
  await chat(key)
  await gateway.records(key)
  const seen = await view(key)
  expect(seen).toMatchObject({
    group: null,
    status: 'active',
    expiresAt: expiresAt.toISOString(),
    models: ['gpt-5-*'],
    limits: [{ scope: 'key', unit: 'requests', per: 'minute', limit: 60 }],
    byModel: [{ model, requests: 1, inputTokens: 1_000, outputTokens: 500, costUsd: '0.00025' }],
  })
  const [day, total] = seen.budgets.toSorted((a, b) => a.window.localeCompare(b.window))
  expect(day).toMatchObject({
    ...{ scope: 'key', window: 'day', limitUsd: '2', spentUsd: '0.00025', heldUsd: '0' },
    remainingUsd: '1.99975',
  })
  expect(new Date(day?.resetsAt ?? 0).getTime()).toBeGreaterThan(Date.now())
  expect(total).toMatchObject({ window: 'total', remainingUsd: '19.99975', resetsAt: null })
})

test('what a request in flight may cost is held, and what is idle here is not', async () => {
  const { key, upstream } = await openaiKey({ budgets: [{ limitUsd: '1', period: 'total' }] })
  const arrived = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  upstream.handle(async (exchange) => {
    arrived.resolve()
    await go.promise
    await answer(1_000, 500)(exchange)
  })
  const sending = chat(key, { max_completion_tokens: 1_000_000 })
  await arrived.promise
  const [budget] = (await view(key)).budgets
  expect(Number(budget?.heldUsd)).toBeGreaterThan(0.4)
  expect(Number(budget?.heldUsd) + Number(budget?.remainingUsd)).toBeCloseTo(1, 9)
  go.resolve()
  await sending
})

test('a paused and an expired key may be looked at; a revoked one, none and a wrong one may not', async () => {
  const organization = gateway.vault.defaultOrganizationId
  const { key } = await openaiKey({})
  await gateway.vault.proxyKeys.pause(organization, key.id as ProxyKeyId)
  expect((await view(key)).status).toBe('paused')
  await gateway.vault.proxyKeys.revoke(organization, key.id as ProxyKeyId)
  const revoked = await ask(gateway.url, '/key', { key })
  expect(revoked.status).toBe(401)
  expect(JSON.parse(revoked.body.toString()).error.code).toBe('revoked_api_key')
  const { key: old } = await openaiKey({ expiresAt: new Date(Date.now() - 1_000) })
  expect((await view(old)).status).toBe('expired')
  expect((await ask(gateway.url, '/key')).status).toBe(401)
  expect(
    (await ask(gateway.url, '/key', { key: { id: 'x', token: `${key.token.slice(0, -1)}x` } })).status,
  ).toBe(401)
})

test('a key is not shown to an address that may not use it', async () => {
  const { key } = await openaiKey({ allowIps: ['203.0.113.0/24'] })
  const { status, body } = await ask(gateway.url, '/key', { key })
  expect(status).toBe(403)
  expect(JSON.parse(body.toString()).error.code).toBe('ip_not_allowed')
})
