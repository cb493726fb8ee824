import { expect, test } from 'vitest'
import { startAdminServer } from './admin-server.ts'

const key = { name: 'alice', providerKeys: ['main'] }
const providerKey = { name: 'main', provider: 'openai', secret: 'sk-canary-0123456789' }

const bad: readonly [path: string, body: unknown, param: string][] = [
  ['/api/keys', {}, 'name'],
  ['/api/keys', [], ''],
  ['/api/keys', null, ''],
  ['/api/keys', { ...key, name: 7 }, 'name'],
  ['/api/keys', { ...key, name: '' }, 'name'],
  ['/api/keys', { ...key, name: ' alice' }, 'name'],
  ['/api/keys', { ...key, name: 'a\u001b[31mlice' }, 'name'],
  ['/api/keys', { ...key, name: 'a\u202elice' }, 'name'],
  ['/api/keys', { ...key, name: 'a'.repeat(129) }, 'name'],
  ['/api/keys', { ...key, providerKeys: [] }, 'providerKeys'],
  ['/api/keys', { ...key, providerKeys: 'main' }, 'providerKeys'],
  ['/api/keys', { ...key, providerKeys: ['main', 'main'] }, 'providerKeys'],
  ['/api/keys', { ...key, providerKeys: ['main', '../x'] }, 'providerKeys[1]'],
  ['/api/keys', { ...key, providerKeys: ['absent'] }, 'providerKeys'],
  ['/api/keys', { ...key, models: [] }, 'models'],
  ['/api/keys', { ...key, models: ['gpt-5', 'g*t'] }, 'models[1]'],
  ['/api/keys', { ...key, models: ['a b'] }, 'models[0]'],
  ['/api/keys', { ...key, endpoints: ['v1/models'] }, 'endpoints[0]'],
  ['/api/keys', { ...key, allowIps: ['10.0.0.0/33'] }, 'allowIps[0]'],
  ['/api/keys', { ...key, allowIps: ['010.0.0.1'] }, 'allowIps[0]'],
  ['/api/keys', { ...key, allowIps: ['example.com'] }, 'allowIps[0]'],
  ['/api/keys', { ...key, retries: 1.5 }, 'retries'],
  ['/api/keys', { ...key, retries: -1 }, 'retries'],
  ['/api/keys', { ...key, retries: '1' }, 'retries'],
  ['/api/keys', { ...key, expiresAt: 'tomorrow' }, 'expiresAt'],
  ['/api/keys', { ...key, expiresAt: '2026-12-06' }, 'expiresAt'],
  ['/api/keys', { ...key, expiresAt: 1_765_000_000 }, 'expiresAt'],
  ['/api/keys', { ...key, tags: [''] }, 'tags[0]'],
  ['/api/keys', { ...key, email: 'alice' }, 'email'],
  ['/api/keys', { ...key, group: '' }, 'group'],
  ['/api/keys', { ...key, group: 'absent' }, 'group'],
  ['/api/keys', { ...key, fit: 'squeeze' }, 'fit'],
  ['/api/keys', { ...key, limits: { rpm: 1 } }, 'limits'],
  ['/api/keys', { ...key, limits: [{ unit: 'dollars', limit: 1 }] }, 'limits[0].unit'],
  ['/api/keys', { ...key, limits: [{ unit: 'requests', limit: 1 }] }, 'limits[0].per'],
  ['/api/keys', { ...key, limits: [{ unit: 'requests', per: 'day', limit: 0 }] }, 'limits[0].limit'],
  ['/api/keys', { ...key, limits: [{ unit: 'concurrency', limit: 1.5 }] }, 'limits[0].limit'],
  ['/api/keys', { ...key, limits: [{ unit: 'concurrency', limit: 1, burst: 2 }] }, 'burst'],
  [
    '/api/keys',
    {
      ...key,
      limits: [
        { unit: 'concurrency', limit: 1 },
        { unit: 'concurrency', limit: 2 },
      ],
    },
    'limits',
  ],
  ['/api/keys', { ...key, budgets: [{ limitUsd: 4 }] }, 'budgets[0].limitUsd'],
  ['/api/keys', { ...key, budgets: [{ limitUsd: '-4' }] }, 'budgets[0].limitUsd'],
  ['/api/keys', { ...key, budgets: [{ limitUsd: '0.0000000001' }] }, 'budgets[0].limitUsd'],
  ['/api/keys', { ...key, budgets: [{ limitUsd: '4', period: 'year' }] }, 'budgets[0].period'],
  ['/api/keys', { ...key, budgets: [{ limitUsd: '4' }, { limitUsd: '5', period: 'total' }] }, 'budgets'],
  ['/api/keys', { ...key, modles: ['gpt-5'] }, 'modles'],
  ['/api/keys/bulk', { providerKeys: ['main'], keys: [] }, 'keys'],
  ['/api/keys/bulk', { keys: [{ name: 'a' }] }, 'providerKeys'],
  ['/api/keys/bulk', { providerKeys: ['main'], keys: [{ name: 'a' }, { name: '' }] }, 'keys[1].name'],
  ['/api/keys/bulk', { providerKeys: ['main'], keys: [{ name: 'a', email: 'b' }] }, 'keys[0].email'],
  [
    '/api/keys/bulk',
    { providerKeys: ['main'], keys: [{ name: 'a', budgets: [{}] }] },
    'keys[0].budgets[0].limitUsd',
  ],
  [
    '/api/keys/bulk',
    { providerKeys: ['main'], keys: Array.from({ length: 2001 }, () => ({ name: 'a' })) },
    'keys',
  ],
  ['/api/keys/bulk', { providerKeys: ['absent'], keys: [{ name: 'a' }] }, 'providerKeys'],
  ['/api/groups', {}, 'name'],
  ['/api/groups', { name: ' hack' }, 'name'],
  ['/api/groups', { name: 'a\u202eb' }, 'name'],
  ['/api/groups', { name: '01890000-0000-7000-8000-000000000001' }, 'name'],
  ['/api/groups', { name: 'hack', limits: [{ unit: 'requests', per: 'second', limit: 1 }] }, 'limits[0].per'],
  ['/api/groups', { name: 'hack', budgets: [{ limitUsd: '1e3' }] }, 'budgets[0].limitUsd'],
  ['/api/groups', { name: 'hack', status: 'paused' }, 'status'],
  ['/api/keys', { ...key, status: 'active' }, 'status'],
  ['/api/provider-keys', { ...providerKey, name: '.hidden' }, 'name'],
  ['/api/provider-keys', { ...providerKey, name: 'a/b' }, 'name'],
  ['/api/provider-keys', { ...providerKey, provider: 'acme' }, 'provider'],
  ['/api/provider-keys', { name: 'main', provider: 'openai' }, 'secret'],
  ['/api/provider-keys', { ...providerKey, secret: '' }, 'secret'],
  ['/api/provider-keys', { ...providerKey, secret: 'sk-canary with space' }, 'secret'],
  ['/api/provider-keys', { ...providerKey, secret: 'sk-canary\r\nx-evil: 1' }, 'secret'],
  ['/api/provider-keys', { ...providerKey, secret: 'sk-canäry-0123456789' }, 'secret'],
  ['/api/provider-keys', { ...providerKey, provider: 'simulator' }, 'secret'],
  ['/api/provider-keys', { ...providerKey, provider: 'openai-compatible' }, 'baseUrl'],
  ['/api/provider-keys', { ...providerKey, baseUrl: 'ftp://host/v1' }, 'baseUrl'],
  ['/api/provider-keys', { ...providerKey, baseUrl: 'https://user:pass@host/v1' }, 'baseUrl'],
  ['/api/provider-keys', { ...providerKey, baseUrl: 'https://host/v1?key=1' }, 'baseUrl'],
  ['/api/provider-keys/main/rotate', {}, 'secret'],
  ['/api/keys', { ...key, description: 'a\0b' }, 'description'],
  ['/api/keys', { ...key, tags: ['a', 'b\0'] }, 'tags[1]'],
  ['/api/vault/rotate-keyring', { purpose: 'everything' }, 'purpose'],
  ['/api/vault/seal', { now: true }, 'now'],
]

test('a bad field is refused with 400, and named, and nothing that was sent is quoted', async () => {
  const { ask } = await startAdminServer()
  for (const [path, body, param] of bad) {
    const answer = await ask('POST', path, { body })
    expect.soft(answer, `${path} ${JSON.stringify(body)}`).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param: param === '' ? null : param } },
    })
    expect.soft(answer.text).not.toMatch(/sk-can/)
  }
})

test('a bad query is refused with 400, and the parameter named', async () => {
  const { ask } = await startAdminServer()
  for (const [path, param] of [
    ['/api/keys?limit=0', 'limit'],
    ['/api/keys?limit=1001', 'limit'],
    ['/api/keys?limit=ten', 'limit'],
    ['/api/keys?cursor=nonsense', 'cursor'],
    ['/api/keys?page=2', 'page'],
    ['/api/keys?group=absent', 'group'],
    ['/api/groups?cursor=nonsense', 'cursor'],
    ['/api/groups?name=', 'name'],
    ['/api/keys?limit=1&limit=2', 'limit'],
    ['/api/keys?name=a%00b', 'name'],
    ['/api/provider-keys?cursor=nonsense', 'cursor'],
    ['/api/requests?after=nonsense', 'after'],
    ['/api/requests?after=WyIxIiwiMiJd', 'after'],
    ['/api/requests?key=alice', 'key'],
    ['/api/refusals?cursor=nonsense', 'cursor'],
  ] as const) {
    expect.soft(await ask('GET', path), path).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request', param } },
    })
  }
})

test('nothing has a name with a NUL in it', async () => {
  const { ask } = await startAdminServer()
  for (const path of ['/api/provider-keys/a%00b', '/api/keys/a%00b']) {
    expect.soft(await ask('GET', path), path).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    })
  }
})

test('a body that is no JSON is refused, and not quoted', async () => {
  const { ask } = await startAdminServer()
  const answer = await ask('POST', '/api/provider-keys', { body: '{"secret": "sk-canary-0123456789"' })
  expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_json' } } })
  expect(answer.text).not.toContain('canary')
})

test('a form, which any page could post, is refused', async () => {
  const { ask } = await startAdminServer()
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  expect(await ask('POST', '/api/keys', { headers, body: 'name=alice' })).toMatchObject({
    status: 415,
    body: { error: { code: 'unsupported_media_type' } },
  })
})

test.each([
  ['announced', {}],
  ['not announced', { 'transfer-encoding': 'chunked' }],
])('a body of over 1 MiB is refused, its length being %s', async (_title, headers) => {
  const { ask } = await startAdminServer()
  const body = JSON.stringify({ ...key, description: 'x'.repeat(2 ** 20) })
  expect(await ask('POST', '/api/keys', { headers, body })).toMatchObject({
    status: 413,
    body: { error: { code: 'body_too_large' } },
  })
})

test('a chunked body within the limit is read', async () => {
  const { ask } = await startAdminServer()
  const headers = { 'transfer-encoding': 'chunked' }
  expect((await ask('POST', '/api/provider-keys', { headers, body: providerKey })).status).toBe(201)
})
