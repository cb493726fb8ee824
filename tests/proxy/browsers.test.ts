import { afterAll, expect, test } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask } from '../support/http-client.ts'

const origin = 'https://app.example.com'
const closed = await startTestGateway()
const listed = await startTestGateway({ LATCHKEY_CORS_ORIGINS: `${origin},http://localhost:5173` })
const open = await startTestGateway({ LATCHKEY_CORS_ORIGINS: '*' })
afterAll(() => Promise.all([closed, listed, open].map((gateway) => gateway.stop())))

const preflight = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type,x-stainless-os',
}

function corsOf(headers: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.keys(headers).filter((name) => name.startsWith('access-control-'))
}

test('browsers are told nothing unless origins are allowed, and a preflight needs a key like all else', async () => {
  const upstream = await startFakeUpstream(answerJson({}, 200, { 'access-control-allow-origin': '*' }))
  const key = await closed.keyFor(upstream)
  const answer = await ask(closed.url, '/v1/things', { key, headers: { origin } })
  expect([answer.status, corsOf(answer.headers)]).toEqual([200, []])
  const asked = await ask(closed.url, '/v1/things', { method: 'OPTIONS', headers: { origin, ...preflight } })
  expect([asked.status, corsOf(asked.headers)]).toEqual([401, []])
})

test('an allowed origin may read answers and refusals, the request id among them', async () => {
  const key = await listed.keyFor(await startFakeUpstream(answerJson({}, 200, { vary: 'accept' })))
  const answer = await ask(listed.url, '/v1/things', { key, headers: { origin } })
  const refusal = await ask(listed.url, '/v1/things', { headers: { origin } })
  for (const { headers } of [answer, refusal]) {
    expect(headers['access-control-allow-origin']).toBe(origin)
    expect(headers['access-control-expose-headers']).toContain('latchkey-request-id')
    expect(headers['access-control-allow-credentials']).toBeUndefined()
    expect(headers.vary).toContain('origin')
  }
  expect(refusal.status).toBe(401)
})

test.each(['https://evil.example', 'https://app.example.com.evil.example', 'http://app.example.com', 'null'])(
  'the origin %s, which is not listed, is told nothing, and caches are told why',
  async (other) => {
    const answer = await ask(listed.url, '/v1/things', { headers: { origin: other } })
    expect([corsOf(answer.headers), answer.headers.vary]).toEqual([[], 'origin'])
    const asked = await ask(listed.url, '/v1/x', {
      method: 'OPTIONS',
      headers: { origin: other, ...preflight },
    })
    expect([asked.status, corsOf(asked.headers)]).toEqual([401, []])
  },
)

test('a preflight of an allowed origin is answered without a key and reaches no provider', async () => {
  const answer = await ask(listed.url, '/v1/things', { method: 'OPTIONS', headers: { origin, ...preflight } })
  expect([answer.status, answer.body.length]).toEqual([204, 0])
  expect(answer.headers).toMatchObject({
    'access-control-allow-origin': origin,
    'access-control-allow-headers': 'authorization,content-type,x-stainless-os',
    'access-control-allow-methods': expect.stringContaining('DELETE'),
  })
})

test('where every origin is allowed, the answer is the same for all', async () => {
  const answer = await ask(open.url, '/v1/things', { headers: { origin } })
  expect(answer.headers['access-control-allow-origin']).toBe('*')
})

test('an answer to somebody who sent no origin says nothing of origins', async () => {
  const answer = await ask(listed.url, '/v1/things')
  expect(corsOf(answer.headers)).toEqual([])
})
