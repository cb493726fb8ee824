import { expect, test } from 'vitest'
import { type AdminServer, startAdminServer } from './admin-server.ts'

/** The next one, in UTC. */
function midnight(): string {
  const now = new Date()
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1)).toISOString()
}

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

test('a key has its limits and budgets from its first moment, and they are shown', async () => {
  const limits = [
    { unit: 'requests', per: 'minute', limit: 60 },
    { unit: 'concurrency', limit: 4 },
  ]
  const { ask, id, key, vault, database } = await startWithKey({
    email: 'alice@example.org',
    limits,
    fit: 'clamp',
    budgets: [{ limitUsd: '20.00' }, { limitUsd: '2.5', period: 'day' }],
  })
  const { rows } = await database.pool.query('select id, period from budget order by period')
  const shown = Object((await ask('GET', `/api/keys/${id}`)).body)
  expect(shown).toMatchObject({ email: 'alice@example.org', limits, fit: 'clamp', group: null })
  const untouched = { status: 'active', spentUsd: '0', heldUsd: '0' }
  expect(shown.budgets).toEqual([
    {
      ...untouched,
      id: rows[0].id,
      period: 'day',
      limitUsd: '2.5',
      remainingUsd: '2.5',
      resetsAt: midnight(),
    },
    { ...untouched, id: rows[1].id, period: 'total', limitUsd: '20', remainingUsd: '20', resetsAt: null },
  ])
  expect(await vault.verifier.verify(key)).toMatchObject({
    principal: {
      policy: { limits, fit: 'clamp' },
      budgets: expect.arrayContaining([rows[0].id, rows[1].id]),
    },
  })
})

test('a budget is shown with the figures of its present window, and of no other', async () => {
  const { ask, id, database } = await startWithKey({ budgets: [{ limitUsd: '2', period: 'day' }] })
  await database.pool.query(`
    insert into budget_window
      (budget_id, starts_at, ends_at, limit_nano, ceiling_nano, paused, settled_nano, leased_nano, unsettled_nano, overage_nano)
    select id, date_trunc('day', now(), 'UTC') + offset_days * interval '1 day',
      date_trunc('day', now(), 'UTC') + (offset_days + 1) * interval '1 day', 2000000000, 2000000000, false, settled, 200000000, 30000000, 4
    from budget, (values (-1, 1000000000), (0, 500000000)) as w (offset_days, settled)`)
  expect(Object((await ask('GET', `/api/keys/${id}`)).body).budgets).toMatchObject([
    { limitUsd: '2', spentUsd: '0.530000004', heldUsd: '0.2', remainingUsd: '1.269999996' },
  ])
})

test('a change sets what it names, null takes away, and the rest stays', async () => {
  const { ask, id, key, vault } = await startWithKey({
    models: ['gpt-5-nano'],
    retries: 2,
    budgets: [{ limitUsd: '4' }],
    expiresAt: '2999-01-01T00:00:00Z',
  })
  await ask('POST', '/api/groups', { body: { name: 'hack' } })
  await ask('POST', '/api/provider-keys', { body: { name: 'spare', provider: 'simulator' } })
  const changed = await ask('PATCH', `/api/keys/${id}`, {
    body: {
      name: 'bob',
      email: 'bob@example.org',
      group: 'hack',
      providerKeys: ['spare', 'main'],
      models: null,
      allowIps: ['192.0.2.7'],
      limits: [{ unit: 'tokens', per: 'day', limit: 9 }],
      budgets: [{ limitUsd: '6' }, { limitUsd: '1', period: 'week' }],
      expiresAt: null,
      revision: 1,
    },
  })
  const after = {
    name: 'bob',
    email: 'bob@example.org',
    group: { name: 'hack', status: 'active' },
    providerKeys: ['spare', 'main'],
    models: null,
    allowIps: ['192.0.2.7/32'],
    retries: 2,
    limits: [{ unit: 'tokens', per: 'day', limit: 9 }],
    budgets: [
      { period: 'week', limitUsd: '1' },
      { period: 'total', limitUsd: '6' },
    ],
    expiresAt: null,
    revision: 2,
  }
  expect(changed).toMatchObject({ status: 200, body: after })
  const verified = await vault.verifier.verify(key)
  expect(verified).toMatchObject({
    principal: { keyName: 'bob', group: { name: 'hack' }, policy: { models: null } },
  })
  expect(await ask('PATCH', `/api/keys/${id}`, { body: { group: null, email: null } })).toMatchObject({
    body: { ...after, group: null, email: null, revision: 3 },
  })
})

test('a new budget binds the key that is in use as soon as it is answered', async () => {
  const { ask, id, key, vault } = await startWithKey()
  expect(await vault.verifier.verify(key)).toMatchObject({ principal: { budgets: [] } })
  const changed = await ask('PATCH', `/api/keys/${id}`, { body: { budgets: [{ limitUsd: '1' }] } })
  const [{ id: budget }] = Object(changed.body).budgets
  expect(await vault.verifier.verify(key)).toMatchObject({ principal: { budgets: [budget] } })
})

test('a change that can not be made changes nothing, and names the field', async () => {
  const { ask, id, database } = await startWithKey()
  const bad: readonly [body: Readonly<Record<string, unknown>>, status: number, param: string | null][] = [
    [{ group: 'absent' }, 400, 'group'],
    [{ providerKeys: ['absent'] }, 400, 'providerKeys'],
    [{ models: [] }, 400, 'models'],
    [{ expiresAt: 'tomorrow' }, 400, 'expiresAt'],
    [{ budgets: [{ limitUsd: 'much' }] }, 400, 'budgets[0].limitUsd'],
    [{ status: 'revoked' }, 400, 'status'],
    [{ retries: 1, budgets: [{ limitUsd: '1' }], revision: 9 }, 409, null],
  ]
  for (const [body, status, param] of bad) {
    const answer = await ask('PATCH', `/api/keys/${id}`, { body: { name: 'x', ...body } })
    expect.soft(answer, JSON.stringify(body)).toMatchObject({ status, body: { error: { param } } })
  }
  expect((await ask('GET', `/api/keys/${id}`)).body).toMatchObject({
    name: 'alice',
    revision: 1,
    budgets: [],
  })
  expect((await database.pool.query('select 1 from budget')).rowCount).toBe(0)
  expect(await ask('PATCH', '/api/keys/0123456789aB', { body: { name: 'x' } })).toMatchObject({ status: 404 })
})

test('many keys are made at once, each with what is for all or its own', async () => {
  const { ask, vault } = await startWithKey()
  const { id: group } = Object((await ask('POST', '/api/groups', { body: { name: 'hack' } })).body)
  const made = await ask('POST', '/api/keys/bulk', {
    body: {
      providerKeys: ['main'],
      group: 'hack',
      models: ['gpt-5-nano'],
      expiresAt: '2999-01-01T00:00:00Z',
      budgets: [{ limitUsd: '4' }],
      limits: [{ unit: 'requests', per: 'minute', limit: 20 }],
      keys: [
        { name: 'a', email: 'a@example.org' },
        { name: 'b', models: null, expiresAt: null, budgets: [{ limitUsd: '1', period: 'day' }] },
        { name: 'c', models: ['gpt-4o*'], budgets: [] },
      ],
    },
  })
  expect(made.status).toBe(201)
  const common = { group: { id: group }, limits: [{ unit: 'requests', per: 'minute', limit: 20 }] }
  const end = '2999-01-01T00:00:00.000Z'
  const { data } = Object(made.body)
  expect(data).toMatchObject([
    {
      ...common,
      name: 'a',
      email: 'a@example.org',
      models: ['gpt-5-nano'],
      expiresAt: end,
      budgets: [{ limitUsd: '4' }],
    },
    {
      ...common,
      name: 'b',
      email: null,
      models: null,
      expiresAt: null,
      budgets: [{ limitUsd: '1', period: 'day' }],
    },
    { ...common, name: 'c', models: ['gpt-4o*'], expiresAt: end, budgets: [] },
  ])
  for (const { id, key, budgets } of data)
    expect(await vault.verifier.verify(key)).toMatchObject({
      principal: { keyId: id, budgets: budgets.map((budget: { id: string }) => budget.id) },
    })
  expect(Object((await ask('GET', '/api/keys?group=hack')).body).data).toHaveLength(3)
  expect(Object((await ask('GET', '/api/keys')).body).data).toHaveLength(4)
})

test('every key is revoked at once, and their number given', async () => {
  const { ask, key, vault } = await startWithKey()
  await ask('POST', '/api/keys', { body: { name: 'bob', providerKeys: ['main'] } })
  expect(await ask('POST', '/api/keys/revoke-all')).toMatchObject({ status: 200, body: { revoked: 2 } })
  expect(await vault.verifier.verify(key)).toMatchObject({ principal: { status: 'revoked' } })
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

test.each([
  'x',
  '["2026-11-21T00:00:00.000Z"]',
  '["2026-11-21T00:00:00.000Z","short"]',
  '["yesterday","AAAAAAAAAAAA"]',
  '["-271821-04-20T00:00:00.000Z","AAAAAAAAAAAA"]',
  '[0,"AAAAAAAAAAAA"]',
])('a cursor that no page gave is refused: %s', async (place) => {
  const { ask } = await startWithKey()
  const cursor = Buffer.from(place).toString('base64url')
  expect(await ask('GET', `/api/keys?cursor=${cursor}`)).toMatchObject({
    status: 400,
    body: { error: { code: 'invalid_request', message: expect.stringContaining('cursor') } },
  })
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
  await vault.seal()
  expect(await ask('POST', '/api/keys', { body: { name: 'bob', providerKeys: ['main'] } })).toMatchObject({
    status: 503,
    body: { error: { code: 'vault_sealed' } },
  })
})
