import { expect, test } from 'vitest'
import { type AdminServer, startAdminServer } from './admin-server.ts'

const limits = [{ unit: 'requests', per: 'minute', limit: 600 }]

async function startWithGroup(
  body: Readonly<Record<string, unknown>> = {},
): Promise<AdminServer & { id: string }> {
  const server = await startAdminServer()
  await server.ask('POST', '/api/provider-keys', { body: { name: 'main', provider: 'simulator' } })
  const created = await server.ask('POST', '/api/groups', { body: { name: 'hack 2026', ...body } })
  expect(created.status).toBe(201)
  return { ...server, id: Object(created.body).id }
}

test('a group is made with its limits and budgets, and found by id and by name', async () => {
  const { ask, id } = await startWithGroup({
    description: 'the hackathon',
    limits,
    budgets: [{ limitUsd: '1200' }, { limitUsd: '100.5', period: 'day' }],
  })
  const group = {
    id,
    name: 'hack 2026',
    description: 'the hackathon',
    status: 'active',
    limits,
    budgets: [
      { period: 'day', limitUsd: '100.5', spentUsd: '0', remainingUsd: '100.5' },
      { period: 'total', limitUsd: '1200', remainingUsd: '1200', resetsAt: null },
    ],
    keys: 0,
    revision: 1,
  }
  for (const path of [`/api/groups/${id}`, '/api/groups/hack%202026'])
    expect(await ask('GET', path)).toMatchObject({ status: 200, body: group })
  expect(await ask('GET', '/api/groups?name=hack%202026')).toMatchObject({ body: { data: [group] } })
  expect(await ask('GET', '/api/groups?name=other')).toMatchObject({ body: { data: [], nextCursor: null } })
})

test('two groups can not have one name, and the field is named', async () => {
  const { ask } = await startWithGroup()
  const taken = { status: 409, body: { error: { code: 'name_taken', param: 'name' } } }
  expect(await ask('POST', '/api/groups', { body: { name: 'hack 2026' } })).toMatchObject(taken)
  await ask('POST', '/api/groups', { body: { name: 'other' } })
  expect(await ask('PATCH', '/api/groups/other', { body: { name: 'hack 2026' } })).toMatchObject(taken)
})

test('a key that is made in a group is under it, and a pause of the group reaches it', async () => {
  const { ask, id, vault } = await startWithGroup({ limits })
  const made = await ask('POST', '/api/keys', { body: { name: 'a', providerKeys: ['main'], group: id } })
  const { id: keyId, key, group } = Object(made.body)
  expect(group).toEqual({ id, name: 'hack 2026', status: 'active' })
  const verified = async () => Object(await vault.verifier.verify(key)).principal.group
  expect(await verified()).toEqual({ id, name: 'hack 2026', status: 'active', limits, capture: false })
  expect(await ask('POST', `/api/groups/${id}/pause`)).toMatchObject({ body: { status: 'paused', keys: 1 } })
  expect(await verified()).toMatchObject({ status: 'paused' })
  expect((await ask('GET', `/api/keys/${keyId}`)).body).toMatchObject({
    status: 'active',
    group: { status: 'paused' },
  })
  expect(await ask('POST', `/api/groups/${id}/resume`)).toMatchObject({ body: { status: 'active' } })
  expect(await verified()).toMatchObject({ status: 'active' })
})

test('a change sets what it names, and a new budget binds the keys of the group at once', async () => {
  const { ask, id, vault } = await startWithGroup({ limits, budgets: [{ limitUsd: '10' }] })
  const made = await ask('POST', '/api/keys', { body: { name: 'a', providerKeys: ['main'], group: id } })
  const budgets = async () => Object(await vault.verifier.verify(Object(made.body).key)).principal.budgets
  expect(await budgets()).toHaveLength(1)
  const body = {
    description: 'new',
    budgets: [{ limitUsd: '20' }, { limitUsd: '5', period: 'week' }],
    revision: 1,
  }
  const changed = await ask('PATCH', `/api/groups/${id}`, { body })
  expect(changed).toMatchObject({
    body: {
      name: 'hack 2026',
      description: 'new',
      limits,
      budgets: [
        { period: 'week', limitUsd: '5' },
        { period: 'total', limitUsd: '20' },
      ],
      revision: 2,
    },
  })
  expect(await budgets()).toEqual(
    Object(changed.body)
      .budgets.map((budget: { id: string }) => budget.id)
      .toSorted(),
  )
  expect(await ask('PATCH', `/api/groups/${id}`, { body })).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict', param: 'revision' } },
  })
})

test('every key of a group is revoked at once, and none of another', async () => {
  const { ask, id } = await startWithGroup()
  for (const group of [id, id, null])
    await ask('POST', '/api/keys', { body: { name: 'a', providerKeys: ['main'], group } })
  expect(await ask('POST', `/api/groups/${id}/revoke-all`)).toMatchObject({ body: { revoked: 2 } })
  const { data } = Object((await ask('GET', '/api/keys')).body)
  expect(data.map((key: { status: string }) => key.status)).toEqual(['active', 'revoked', 'revoked'])
})

test('pages put together are the list, by name', async () => {
  const { ask } = await startWithGroup()
  for (const name of ['c', 'a', 'b', '..']) await ask('POST', '/api/groups', { body: { name } })
  const names: string[] = []
  let path = '/api/groups?limit=2'
  for (;;) {
    const { data, nextCursor } = Object((await ask('GET', path)).body)
    names.push(...data.map((group: { name: string }) => group.name))
    if (nextCursor === null) break
    path = `/api/groups?limit=2&cursor=${nextCursor}`
  }
  expect(names).toHaveLength(5)
  expect(new Set(names)).toEqual(new Set(['..', 'a', 'b', 'c', 'hack 2026']))
})

test.each(['absent', '01890000-0000-7000-8000-000000000001', 'a%00b'])(
  'a group that is not there is 404: %s',
  async (which) => {
    const { ask } = await startAdminServer()
    for (const [method, path] of [
      ['GET', `/api/groups/${which}`],
      ['PATCH', `/api/groups/${which}`],
      ['POST', `/api/groups/${which}/pause`],
      ['POST', `/api/groups/${which}/revoke-all`],
    ] as const)
      expect(await ask(method, path)).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } })
  },
)
