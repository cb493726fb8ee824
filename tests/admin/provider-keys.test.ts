import { expect, test } from 'vitest'
import { startAdminServer } from './admin-server.ts'

const secret = 'sk-canary-0123456789-a1B2'
const main = { name: 'main', provider: 'openai', secret }

test('a stored provider key is shown everywhere without its secret', async () => {
  const { ask, log, logged } = await startAdminServer()
  const added = await ask('POST', '/api/provider-keys', { body: main })
  expect(added).toMatchObject({
    status: 201,
    body: {
      name: 'main',
      provider: 'openai',
      baseUrl: 'https://api.openai.com/v1',
      maskedTail: 'a1B2',
      boundKeys: 0,
      rotatedAt: null,
      lastUsedAt: null,
    },
  })
  const shown = [added, await ask('GET', '/api/provider-keys'), await ask('GET', '/api/provider-keys/main')]
  const everything = [...shown.map((answer) => answer.text), JSON.stringify(log.events), ...logged].join('\n')
  expect(everything).not.toContain(secret)
})

test('a simulator needs no secret', async () => {
  const { ask } = await startAdminServer()
  const added = await ask('POST', '/api/provider-keys', { body: { name: 'try', provider: 'simulator' } })
  expect(added).toMatchObject({ status: 201, body: { provider: 'simulator', maskedTail: null } })
})

test('a name is given once', async () => {
  const { ask } = await startAdminServer()
  await ask('POST', '/api/provider-keys', { body: main })
  expect(await ask('POST', '/api/provider-keys', { body: main })).toMatchObject({
    status: 409,
    body: { error: { code: 'name_taken', param: 'name' } },
  })
})

test('rotation replaces the secret and nothing else', async () => {
  const { ask } = await startAdminServer()
  await ask('POST', '/api/provider-keys', { body: main })
  await ask('POST', '/api/keys', { body: { name: 'alice', providerKeys: ['main'] } })
  const before = (await ask('GET', '/api/provider-keys/main')).body
  const rotated = await ask('POST', '/api/provider-keys/main/rotate', {
    body: { secret: 'sk-canary-9876543210-Z9y8' },
  })
  expect(rotated).toMatchObject({ status: 200, body: { maskedTail: 'Z9y8', boundKeys: 1 } })
  expect(rotated.body).toEqual({
    ...Object(before),
    maskedTail: 'Z9y8',
    rotatedAt: expect.any(String),
    revision: 2,
  })
})

test('its limits are set as a whole, by whoever has seen its last revision', async () => {
  const { ask } = await startAdminServer()
  await ask('POST', '/api/provider-keys', { body: main })
  const limits = [
    { unit: 'requests', per: 'minute', limit: 500 },
    { unit: 'concurrency', limit: 4 },
  ]
  const path = '/api/provider-keys/main'
  expect(await ask('GET', path)).toMatchObject({ body: { limits: [], revision: 1 } })
  const set = await ask('PATCH', path, { body: { limits, revision: 1 } })
  expect(set).toMatchObject({ status: 200, body: { limits, revision: 2 } })
  expect(await ask('PATCH', path, { body: { limits: [], revision: 1 } })).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict', param: 'revision' } },
  })
  expect(await ask('PATCH', path, { body: { limits: [limits[0], limits[0]] } })).toMatchObject({
    status: 400,
  })
  expect(await ask('GET', path)).toMatchObject({ body: { limits } })
  expect(await ask('PATCH', '/api/provider-keys/other', { body: { limits } })).toMatchObject({ status: 404 })
})

test('removal is refused while a proxy key is bound, and revokes it where that is asked for', async () => {
  const { ask } = await startAdminServer()
  await ask('POST', '/api/provider-keys', { body: main })
  const { body: minted } = await ask('POST', '/api/keys', { body: { name: 'alice', providerKeys: ['main'] } })
  const { id } = Object(minted)
  expect(await ask('DELETE', '/api/provider-keys/main')).toMatchObject({
    status: 409,
    body: { error: { code: 'provider_key_in_use', details: { boundKeys: 1 } } },
  })
  expect(await ask('DELETE', '/api/provider-keys/main?revokeKeys=perhaps')).toMatchObject({ status: 400 })
  expect(await ask('DELETE', '/api/provider-keys/main?revokeKeys=true')).toMatchObject({
    status: 200,
    body: { name: 'main', revokedKeys: [id] },
  })
  expect(await ask('GET', `/api/keys/${id}`)).toMatchObject({ body: { status: 'revoked' } })
  expect(await ask('GET', '/api/provider-keys/main')).toMatchObject({ status: 404 })
})

test.each([
  ['GET', '/api/provider-keys/absent'],
  ['DELETE', '/api/provider-keys/absent'],
  ['POST', '/api/provider-keys/absent/test'],
])('a provider key that is not there is 404: %s %s', async (method, path) => {
  const { ask } = await startAdminServer()
  expect(await ask(method, path)).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } })
})

test('a test of a provider key says what became of it, and succeeds as a request either way', async () => {
  const outcome = { kind: 'unreachable', code: 'upstream_unreachable', message: 'No route.' } as const
  const { ask } = await startAdminServer({ providerTest: outcome })
  await ask('POST', '/api/provider-keys', { body: main })
  expect(await ask('POST', '/api/provider-keys/main/test')).toMatchObject({ status: 200, body: outcome })
})

test('pages put together are the list, each key once', async () => {
  const { ask } = await startAdminServer()
  const names = ['a', 'b', 'c', 'd', 'e']
  for (const name of names) {
    await ask('POST', '/api/provider-keys', { body: { name, provider: 'simulator' } })
  }
  const seen: string[] = []
  let path = '/api/provider-keys?limit=2'
  for (;;) {
    const { data, nextCursor } = Object((await ask('GET', path)).body)
    seen.push(...data.map((key: { name: string }) => key.name))
    if (nextCursor === null) break
    path = `/api/provider-keys?limit=2&cursor=${nextCursor}`
  }
  expect(seen).toEqual(names)
})

test('a provider key has budgets, which bind the keys that use it when they are answered', async () => {
  const { ask, vault } = await startAdminServer()
  await ask('POST', '/api/provider-keys', { body: { name: 'main', provider: 'simulator' } })
  await ask('POST', '/api/provider-keys', { body: { name: 'spare', provider: 'simulator' } })
  const { key } = Object(
    (await ask('POST', '/api/keys', { body: { name: 'alice', providerKeys: ['main', 'spare'] } })).body,
  )
  await vault.verifier.verify(key)
  const body = { budgets: [{ limitUsd: '100.00', period: 'day' }] }
  const changed = await ask('PATCH', '/api/provider-keys/main', { body })
  expect(changed).toMatchObject({
    status: 200,
    body: { name: 'main', budgets: [{ limitUsd: '100', period: 'day', spentUsd: '0' }] },
  })
  const [{ id }] = Object(changed.body).budgets
  expect(await vault.verifier.verify(key)).toMatchObject({
    principal: { budgets: [], providerKeys: [{ budgets: [id] }, { budgets: [] }] },
  })
  expect((await ask('GET', '/api/provider-keys')).body).toMatchObject({
    data: [
      { name: 'main', budgets: [{ id }] },
      { name: 'spare', budgets: [] },
    ],
  })
  expect((await ask('PATCH', '/api/provider-keys/absent', { body })).status).toBe(404)
})
