import { type GroupId, nanoUsd, type OrganizationId, type ProxyKeyId } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { insertRecords } from '../../gateway/src/records/batch-insert.ts'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'
import { newRequestId, record } from '../records/record.ts'
import { type AdminServer, startAdminServer } from './admin-server.ts'

const noon = Date.parse('2026-03-10T12:00:00Z')
const dayMs = 86_400_000

interface Started extends AdminServer {
  readonly keys: Readonly<Record<'alice' | 'bob', ProxyKeyId>>
  readonly hack: GroupId
  /** Writes the record of a request that began at `at` (milliseconds since the epoch). */
  used(by: 'alice' | 'bob', at: number, change?: Partial<RequestRecord>): Promise<void>
  usage(query: string): Promise<{ data: Record<string, unknown>[]; total: unknown; leftOut: number }>
}

async function start(): Promise<Started> {
  const server = await startAdminServer()
  const { ask, database, vault } = server
  await ask('POST', '/api/provider-keys', { body: { name: 'main', provider: 'simulator' } })
  const hack: GroupId = Object((await ask('POST', '/api/groups', { body: { name: 'hack' } })).body).id
  const key = async (name: string, group: string | null): Promise<ProxyKeyId> =>
    Object((await ask('POST', '/api/keys', { body: { name, group, providerKeys: ['main'] } })).body).id
  const keys = { alice: await key('alice', 'hack'), bob: await key('bob', null) }
  const recordOf = (by: 'alice' | 'bob', at: number, organizationId: OrganizationId): RequestRecord =>
    record({
      id: newRequestId(at),
      organizationId,
      keyId: keys[by],
      keyName: by,
      groupId: by === 'alice' ? hack : null,
      provider: 'simulator',
      model: 'gpt-5-nano',
      startedAt: at,
      cost: nanoUsd(1_000_000n),
    })
  return {
    ...server,
    keys,
    hack,
    used: (by, at, change = {}) =>
      insertRecords(database.pool, [{ ...recordOf(by, at, vault.defaultOrganizationId), ...change }]),
    async usage(query) {
      const answer = await ask('GET', `/api/usage?from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z&${query}`)
      expect(answer.status, answer.text).toBe(200)
      return Object(answer.body)
    },
  }
}

const usage = (inputTokens: number, cachedInputTokens: number, outputTokens: number) => ({
  inputTokens,
  cachedInputTokens,
  outputTokens,
  reasoningTokens: null,
  inputAudioTokens: null,
  outputAudioTokens: null,
})

test('sums are exact, and tell estimates, refusals and what has no price apart', async () => {
  const { used, usage: ask, keys } = await start()
  await used('alice', noon, { usage: usage(100, 40, 7), cost: nanoUsd(1n) })
  await used('alice', noon, { usage: usage(11, 0, 3), cost: nanoUsd(9_000_000_000_000_000_000n) })
  await used('alice', noon, { cost: nanoUsd(20n), estimated: true })
  await used('alice', noon, { cost: null, estimated: true })
  await used('alice', noon, { status: 429, code: 'insufficient_quota', attempts: 0, cost: nanoUsd(0n) })
  await used('alice', noon, { status: 499, attempts: 0, cost: nanoUsd(0n) })
  const sums = {
    requests: 6,
    refused: 1,
    inputTokens: 111,
    cachedInputTokens: 40,
    outputTokens: 10,
    costUsd: '9000000000.000000021',
    estimatedUsd: '0.00000002',
    unpriced: 1,
  }
  expect(await ask('by=key')).toEqual({
    by: 'key',
    from: '2026-03-01T00:00:00.000Z',
    to: '2026-04-01T00:00:00.000Z',
    data: [{ id: keys.alice, name: 'alice', ...sums }],
    leftOut: 0,
    total: sums,
  })
})

test('usage is summed by key, group, model and day, the dearest or the latest first', async () => {
  const { used, usage: ask, keys, hack } = await start()
  await used('bob', noon, { model: 'gpt-4o', cost: nanoUsd(5n) })
  await used('alice', noon, { cost: nanoUsd(1n) })
  await used('alice', noon + dayMs, { cost: nanoUsd(2n) })
  await used('alice', noon + dayMs, { model: null, cost: nanoUsd(0n) })
  const by = async (dimension: string) =>
    (await ask(`by=${dimension}`)).data.map(({ id, name, requests, costUsd }) => [
      id,
      name,
      requests,
      costUsd,
    ])
  expect(await by('key')).toEqual([
    [keys.bob, 'bob', 1, '0.000000005'],
    [keys.alice, 'alice', 3, '0.000000003'],
  ])
  expect(await by('group')).toEqual([
    [null, null, 1, '0.000000005'],
    [hack, 'hack', 3, '0.000000003'],
  ])
  expect(await by('model')).toEqual([
    ['gpt-4o', 'gpt-4o', 1, '0.000000005'],
    ['gpt-5-nano', 'gpt-5-nano', 2, '0.000000003'],
    [null, null, 1, '0'],
  ])
  expect(await by('day')).toEqual([
    ['2026-03-11', '2026-03-11', 2, '0.000000002'],
    ['2026-03-10', '2026-03-10', 2, '0.000000006'],
  ])
})

test('a request counts for the group that its key was in when it was made', async () => {
  const { used, usage: ask, ask: send, keys, hack } = await start()
  await used('alice', noon)
  await send('PATCH', `/api/keys/${keys.alice}`, { body: { group: null } })
  await used('alice', noon, { groupId: null })
  expect((await ask('by=group')).data).toMatchObject([
    { id: hack, requests: 1 },
    { id: null, requests: 1 },
  ])
  expect((await ask('by=key&group=hack')).total).toMatchObject({ requests: 1 })
})

test('a stretch of time holds its first millisecond and not its last', async () => {
  const { used, ask } = await start()
  await used('alice', noon - 1)
  await used('alice', noon)
  await used('alice', noon + dayMs - 1)
  await used('alice', noon + dayMs)
  const [from, to] = [new Date(noon).toISOString(), new Date(noon + dayMs).toISOString()]
  expect((await ask('GET', `/api/usage?by=day&from=${from}&to=${to}`)).body).toMatchObject({
    total: { requests: 2 },
  })
})

test('the last thirty days are what is meant where nothing is said', async () => {
  const { used, ask } = await start()
  await used('alice', Date.now() - 29 * dayMs)
  await used('alice', Date.now() - 31 * dayMs)
  expect((await ask('GET', '/api/usage?by=model')).body).toMatchObject({ total: { requests: 1 } })
})

test('filters pick one key or one group', async () => {
  const { used, usage: ask, keys, hack } = await start()
  await used('alice', noon)
  await used('bob', noon)
  await used('bob', noon)
  expect((await ask(`by=day&key=${keys.bob}`)).total).toMatchObject({ requests: 2 })
  expect((await ask(`by=day&group=${hack}`)).total).toMatchObject({ requests: 1 })
  expect((await ask(`by=day&group=hack&key=${keys.bob}`)).total).toMatchObject({ requests: 0 })
})

test('rows beyond the limit are counted, and the total has them all', async () => {
  const { used, usage: ask } = await start()
  for (const model of ['a', 'b', 'c']) await used('alice', noon, { model })
  const few = await ask('by=model&limit=2')
  expect(few).toMatchObject({ leftOut: 1, total: { requests: 3, costUsd: '0.003' } })
  expect(few.data.length).toBe(2)
})

test('without requests all sums are zero', async () => {
  const { usage: ask } = await start()
  expect(await ask('by=key')).toMatchObject({
    data: [],
    leftOut: 0,
    total: { requests: 0, inputTokens: 0, costUsd: '0', estimatedUsd: '0', unpriced: 0 },
  })
})

test.each([
  ['by=week', 400, 'by'],
  ['', 400, 'by'],
  ['by=key&from=yesterday', 400, 'from'],
  ['by=key&from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z', 400, 'from'],
  ['by=key&key=alice', 400, 'key'],
  ['by=key&group=absent', 400, 'group'],
  ['by=key&limit=0', 400, 'limit'],
  ['by=key&sort=cost', 400, 'sort'],
])('a query that can not be meant is refused, and its field named: %s', async (query, status, param) => {
  const { ask } = await startAdminServer()
  expect(await ask('GET', `/api/usage?${query}`)).toMatchObject({ status, body: { error: { param } } })
})
