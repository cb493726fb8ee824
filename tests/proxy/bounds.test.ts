import { afterAll, beforeAll, expect, test } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, type HttpAnswer } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const budget = { budgets: [{ limitUsd: '1', period: 'total' as const }] }
const messages = [{ role: 'user', content: 'Hello' }]

beforeAll(async () => {
  const standard = { input: 1_000_000, output: 8_000_000 }
  const entry = { source: 'test', contextWindow: 1000, maxOutputTokens: 65_536, prices: [{ standard }] }
  const response = await fetch(`${gateway.adminUrl}/api/prices`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${gateway.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ models: { 'openai-compatible': { m: entry } } }),
  })
  expect(response.status).toBe(200)
})

async function keyOf(provider: string) {
  const usage = { prompt_tokens: 2, completion_tokens: 5 }
  const upstream = await startFakeUpstream(answerJson({ object: 'chat.completion', choices: [], usage }))
  return { upstream, key: await gateway.keyFor({ ...upstream, provider }, budget) }
}

const errorOf = (answer: HttpAnswer) => JSON.parse(answer.body.toString()).error

test('a compatible API that honours the older name of the cap only is sent both, and they are equal', async () => {
  const { upstream, key } = await keyOf('openai-compatible')
  const asked = { model: 'm', messages, max_completion_tokens: 50 }
  const answer = await ask(gateway.url, '/v1/chat/completions', {
    key,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(asked),
  })
  expect(answer.status).toBe(200)
  expect(JSON.parse((await upstream.requests[0]?.whole())?.toString() ?? '')).toEqual({
    ...asked,
    max_tokens: 50,
  })
})

test('a form to an endpoint of JSON is never sent whole under a budget: its long texts are not known', async () => {
  const { upstream, key } = await keyOf('openai')
  const part = (name: string, value: string) =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const answer = await ask(gateway.url, '/v1/audio/speech', {
    key,
    headers: { 'content-type': 'multipart/form-data; boundary=b' },
    body: `${part('model', 'tts-1-hd')}${part('voice', 'alloy')}${part('input', 'a'.repeat(5000))}--b--\r\n`,
  })
  expect(answer.status).toBe(400)
  expect(errorOf(answer)).toMatchObject({ code: 'unsupported_parameter' })
  const [request] = upstream.requests
  expect((await request?.whole().catch(() => null))?.toString() ?? '').not.toContain('--b--')
})
