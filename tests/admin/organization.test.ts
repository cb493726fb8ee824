import { expect, test } from 'vitest'
import { startAdminServer } from './admin-server.ts'

test('the organization has its name and its budgets', async () => {
  const { ask, vault } = await startAdminServer()
  const bare = { id: vault.defaultOrganizationId, name: 'default', budgets: [] }
  expect(await ask('GET', '/api/organization')).toMatchObject({ status: 200, body: bare })
  const budgets = [
    { limitUsd: '500', period: 'month' },
    { limitUsd: '50.00', period: 'day' },
  ]
  const after = {
    ...bare,
    budgets: [
      { period: 'day', limitUsd: '50', spentUsd: '0' },
      { period: 'month', limitUsd: '500', remainingUsd: '500' },
    ],
  }
  expect(await ask('PATCH', '/api/organization', { body: { budgets } })).toMatchObject({
    status: 200,
    body: after,
  })
  expect((await ask('GET', '/api/organization')).body).toMatchObject(after)
})

test('a budget that is set again has the new limit, and those of other periods stay', async () => {
  const { ask, database } = await startAdminServer()
  const set = (limitUsd: string, period: string) =>
    ask('PATCH', '/api/organization', { body: { budgets: [{ limitUsd, period }] } })
  await set('5', 'day')
  await set('9', 'total')
  expect((await set('6', 'day')).body).toMatchObject({
    budgets: [{ limitUsd: '6', period: 'day' }, { limitUsd: '9' }],
  })
  expect((await database.pool.query('SELECT 1 FROM budget')).rowCount).toBe(2)
})

test('a budget of the organization binds every key when it is answered', async () => {
  const { ask, vault } = await startAdminServer()
  await ask('POST', '/api/provider-keys', { body: { name: 'main', provider: 'simulator' } })
  const { key } = Object(
    (await ask('POST', '/api/keys', { body: { name: 'alice', providerKeys: ['main'] } })).body,
  )
  expect(await vault.verifier.verify(key)).toMatchObject({ principal: { budgets: [] } })
  const set = await ask('PATCH', '/api/organization', { body: { budgets: [{ limitUsd: '5' }] } })
  const [{ id }] = Object(set.body).budgets
  expect(await vault.verifier.verify(key)).toMatchObject({ principal: { budgets: [id] } })
})

test.each([
  [{ budgets: [{ limitUsd: 'much' }] }, 'budgets[0].limitUsd'],
  [{ budgets: [{ limitUsd: '1' }, { limitUsd: '2' }] }, 'budgets'],
  [{ name: 'ours' }, 'name'],
])('a change that can not be made is refused, and its field named: %j', async (body, param) => {
  const { ask, database } = await startAdminServer()
  expect(await ask('PATCH', '/api/organization', { body })).toMatchObject({
    status: 400,
    body: { error: { param } },
  })
  expect((await database.pool.query('SELECT 1 FROM budget')).rowCount).toBe(0)
})
