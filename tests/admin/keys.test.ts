import { expect, test } from 'vitest'
import { type AdminServer, startAdminServer } from './admin-server.ts'

async function startWithKey(
  body: Readonly<Record<string, unknown>> = {},
): Promise<AdminServer & { id: string; key: string }> {
  const server = await startAdminServer()
  await server.ask('POST', '/api/provider-keys', { body: { name: 'main', provider: 'simulator' } })
  const created = await server.ask('POST', '/api/keys', {
    body: { name: 'alice', providerKeys: ['main'], ...body },
  })
  expect(created.status).toBe(201)
  const { id, key } = Object(created.body)
  return { ...server, id, key }
}

test('a key is shown once, at its creation, and works', async () => {
  const { ask, id, key, vault, log, logged } = await startWithKey()
  expect(await vault.verifier.verify(key)).toMatchObject({ kind: 'verified', principal: { keyId: id } })
  const later = [await ask('GET', `/api/keys/${id}`), await ask('GET', '/api/keys')]
  const everything = [...later.map((answer) => answer.text), JSON.stringify(log.events), ...logged].join('\n')
  expect(everything).not.toContain(key.slice(key.lastIndexOf('_')))
})

test('a key has the policy that was asked for, with bare addresses as blocks', async () => {
  const policy = { models: ['gpt-5-nano', 'gpt-4o*'], endpoints: ['/v1/files*'], retries: 2 }
  const { ask, id } = await startWithKey({
    ...policy,
    allowIps: ['10.0.0.0/8', '192.0.2.7', '2001:db8::1'],
    expiresAt: '2999-12-06T20:00:00+02:00',
    description: 'for the workshop',
    tags: ['workshop', 'spring'],
  })
  expect((await ask('GET', `/api/keys/${id}`)).body).toMatchObject({
    ...policy,
    id,
    name: 'alice',
    status: 'active',
    providerKeys: ['main'],
    allowIps: ['10.0.0.0/8', '192.0.2.7/32', '2001:db8::1/128'],
    expiresAt: '2999-12-06T18:00:00.000Z',
    description: 'for the workshop',
    tags: ['workshop', 'spring'],
  })
})

test('pause, resume and revoke take hold, and revoked is final', async () => {
  const { ask, id, key, vault } = await startWithKey()
  const statuses = async (change: string) => {
    const changed = await ask('POST', `/api/keys/${id}/${change}`)
    const verified = await vault.verifier.verify(key)
    return [
      Object(changed.body).status,
      verified.kind === 'verified' ? verified.principal.status : verified.kind,
    ]
  }
  expect(await statuses('pause')).toEqual(['paused', 'paused'])
  expect(await statuses('resume')).toEqual(['active', 'active'])
  expect(await statuses('revoke')).toEqual(['revoked', 'revoked'])
  expect(await statuses('revoke')).toEqual(['revoked', 'revoked'])
  expect(await ask('POST', `/api/keys/${id}/resume`)).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict' } },
  })
})

test('a key whose end lies in the past is shown as expired', async () => {
  const { ask, id } = await startWithKey({ expiresAt: '2020-01-01T00:00:00Z' })
  expect(Object((await ask('GET', `/api/keys/${id}`)).body).status).toBe('expired')
})

test('rotation gives a new token, keeps the old one for the grace, and once per revision', async () => {
  const { ask, id, key, vault } = await startWithKey()
  const rotated = await ask('POST', `/api/keys/${id}/rotate`, { body: { graceSeconds: 60, revision: 1 } })
  const { key: second, previousExpiresAt, revision } = Object(rotated.body)
  expect(second).not.toBe(key)
  expect(Date.parse(previousExpiresAt) - Date.now()).toBeGreaterThan(50_000)
  expect((await vault.verifier.verify(key)).kind).toBe('verified')
  expect((await vault.verifier.verify(second)).kind).toBe('verified')

  const repeated = await ask('POST', `/api/keys/${id}/rotate`, { body: { revision: 1 } })
  expect(repeated).toMatchObject({ status: 409, body: { error: { code: 'conflict' } } })

  const last = await ask('POST', `/api/keys/${id}/rotate`, { body: { graceSeconds: 0, revision } })
  expect(Object(last.body).previousExpiresAt).toBeNull()
  expect((await vault.verifier.verify(second)).kind).toBe('refused')
})

test.each(['0123456789aB', 'short', '..', 'a%2Fb', '0123456789a%00'])(
  'a key that is not there is 404: %s',
  async (id) => {
    const { ask } = await startAdminServer()
    for (const [method, path] of [
      ['GET', `/api/keys/${id}`],
      ['POST', `/api/keys/${id}/revoke`],
      ['POST', `/api/keys/${id}/rotate`],
    ] as const) {
      expect(await ask(method, path)).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } })
    }
  },
)

test('pages put together are the list, newest first, and a name picks its own', async () => {
  const { ask } = await startWithKey()
  for (const name of ['bob', 'carol', 'bob']) {
    await ask('POST', '/api/keys', { body: { name, providerKeys: ['main'] } })
  }
  const names: string[] = []
  let path = '/api/keys?limit=3'
  for (;;) {
    const { data, nextCursor } = Object((await ask('GET', path)).body)
    names.push(...data.map((key: { name: string }) => key.name))
    if (nextCursor === null) break
    path = `/api/keys?limit=3&cursor=${nextCursor}`
  }
  expect(names).toEqual(['bob', 'carol', 'bob', 'alice'])
  expect(Object((await ask('GET', '/api/keys?name=bob')).body).data).toHaveLength(2)
})

test('a key that was edited in the database can not be changed, and says so', async () => {
  const { ask, id, database } = await startWithKey()
  await database.pool.query(`UPDATE proxy_key SET expires_at = '2999-01-01' WHERE id = $1`, [id])
  expect(await ask('POST', `/api/keys/${id}/pause`)).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict', message: expect.stringContaining('without the vault') } },
  })
})

test('nothing is minted while the vault is sealed', async () => {
  const { ask, vault } = await startWithKey()
  vault.seal()
  expect(await ask('POST', '/api/keys', { body: { name: 'bob', providerKeys: ['main'] } })).toMatchObject({
    status: 503,
    body: { error: { code: 'vault_sealed' } },
  })
})
