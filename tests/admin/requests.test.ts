import { type RequestId, systemClock, systemRandom, uuidv7 } from '@latchkey/shared'
import type pg from 'pg'
import { expect, test, vi } from 'vitest'
import { type AdminServer, startAdminServer } from './admin-server.ts'

/** Writes a record that began `agoMs` ago. */
async function write(
  client: pg.Pool | pg.PoolClient,
  server: AdminServer,
  agoMs: number,
  keyId = 'aaaaaaaaaaaa',
) {
  const id = uuidv7<RequestId>({ ...systemClock, now: () => Date.now() - agoMs }, systemRandom)
  await client.query(
    `INSERT INTO request (id, organization_id, proxy_key_id, proxy_key_name, provider_key_id, provider, method,
      endpoint, model, response_model, status, code, attempts, input_tokens, cached_input_tokens, output_tokens,
      reasoning_tokens, input_audio_tokens, output_audio_tokens, usage_missing, streamed, disconnected, truncated,
      request_bytes, response_bytes, time_to_first_byte_ms, duration_ms, client_ip, user_id, session_id,
      properties, started_at, cost_nano, held_nano, estimated, price_version)
    VALUES ($1, $2, $3, 'alice', NULL, 'openai', 'POST', '/v1/chat/completions', 'gpt-5-nano', 'gpt-5-nano-1',
      200, NULL, 1, 10, 0, 50, NULL, NULL, NULL, false, true, false, false, 120, 4567, 3.5, 12.25, '127.0.0.1',
      'u-1', NULL, '{"team":"a"}', $4, 20500, 10000000, true, 'v1')`,
    [id, server.vault.defaultOrganizationId, keyId, new Date(Date.now() - agoMs)],
  )
  return id
}

function ids(body: unknown): string[] {
  return Object(body).data.map((record: { id: string }) => record.id)
}

test('a record is given with every field, counts as numbers', async () => {
  const server = await startAdminServer()
  const id = await write(server.database.pool, server, 0)
  const { body } = await server.ask('GET', '/api/requests')
  expect(Object(body).data).toEqual([
    {
      id,
      keyId: 'aaaaaaaaaaaa',
      keyName: 'alice',
      groupId: null,
      providerKeyId: null,
      provider: 'openai',
      method: 'POST',
      endpoint: '/v1/chat/completions',
      model: 'gpt-5-nano',
      responseModel: 'gpt-5-nano-1',
      status: 200,
      code: null,
      attempts: 1,
      inputTokens: 10,
      cachedInputTokens: 0,
      outputTokens: 50,
      reasoningTokens: null,
      inputAudioTokens: null,
      outputAudioTokens: null,
      usageMissing: false,
      streamed: true,
      disconnected: false,
      truncated: false,
      requestBytes: 120,
      responseBytes: 4567,
      timeToFirstByteMs: 3.5,
      durationMs: 12.25,
      clientIp: '127.0.0.1',
      userId: 'u-1',
      sessionId: null,
      properties: { team: 'a' },
      startedAt: expect.stringMatching(/Z$/),
      costUsd: '0.0000205',
      heldUsd: '0.01',
      estimated: true,
      priceVersion: 'v1',
    },
  ])
})

test('the latest records come newest last, of one key where that is asked for', async () => {
  const server = await startAdminServer()
  const { pool } = server.database
  const oldest = await write(pool, server, 3000)
  const newest = await write(pool, server, 1000)
  const middle = await write(pool, server, 2000, 'bbbbbbbbbbbb')
  expect(ids((await server.ask('GET', '/api/requests')).body)).toEqual([oldest, middle, newest])
  expect(ids((await server.ask('GET', '/api/requests?limit=2')).body)).toEqual([middle, newest])
  expect(ids((await server.ask('GET', '/api/requests?key=bbbbbbbbbbbb')).body)).toEqual([middle])
})

test('a follower is given each record once, however old the request and however late its commit', async () => {
  const server = await startAdminServer()
  const { pool } = server.database
  const follow = async (cursor: string) => {
    const { body } = await server.ask('GET', `/api/requests?after=${cursor}`)
    return { ids: ids(body), cursor: String(Object(body).cursor) }
  }
  // What is written in other databases of this Postgres meanwhile keeps a follower waiting, too.
  const followUntil = async (start: string, count: number) => {
    const seen: string[] = []
    let cursor = start
    for (const deadline = performance.now() + 10_000; seen.length < count && performance.now() < deadline; ) {
      const next = await follow(cursor)
      seen.push(...next.ids)
      cursor = next.cursor
    }
    return { ids: seen, cursor }
  }
  const before = await write(pool, server, 0)
  await vi.waitFor(async () => {
    const sql =
      'SELECT recorded_in < pg_snapshot_xmin(pg_current_snapshot()) AS passed FROM request WHERE id = $1'
    const { rows } = await pool.query<{ passed: boolean }>(sql, [before])
    expect(rows).toEqual([{ passed: true }])
  }, 10_000)
  const first = await server.ask('GET', '/api/requests')
  let { cursor } = Object(first.body)

  // It begins to write before the next record, and commits after it.
  const slow = await pool.connect()
  await slow.query('BEGIN')
  const late = await write(slow, server, 500)
  const quick = await write(pool, server, 0)
  const meanwhile = await follow(cursor)
  await slow.query('COMMIT')
  slow.release()
  // A stream that ran for an hour: its id sorts far before all others.
  const old = await write(pool, server, 3_600_000)

  const afterwards = await followUntil(meanwhile.cursor, 3 - meanwhile.ids.length)
  const seen = [...meanwhile.ids, ...afterwards.ids]
  expect([...seen].sort()).toEqual([late, quick, old].sort())

  cursor = afterwards.cursor
  expect((await follow(cursor)).ids).toEqual([])
  const last = await write(pool, server, 0)
  expect((await followUntil(cursor, 1)).ids).toEqual([last])
})

test('a follower that is far behind catches up in pages, each record once', async () => {
  const server = await startAdminServer()
  const { pool } = server.database
  let { cursor } = Object((await server.ask('GET', '/api/requests')).body)
  const client = await pool.connect()
  await client.query('BEGIN')
  const written: string[] = []
  for (let count = 0; count < 5; count++) written.push(await write(client, server, 1000 * count))
  await client.query('COMMIT')
  client.release()
  written.push(await write(pool, server, 0))
  const seen: string[] = []
  for (const deadline = performance.now() + 10_000; ; ) {
    const { body } = await server.ask('GET', `/api/requests?limit=2&after=${cursor}`)
    if (ids(body).length === 0 && (seen.length === written.length || performance.now() > deadline)) break
    seen.push(...ids(body))
    cursor = Object(body).cursor
  }
  expect([...seen].sort()).toEqual([...written].sort())
})

test('refusals are given by minute, latest first, in pages', async () => {
  const { ask, database } = await startAdminServer()
  await database.pool.query(`INSERT INTO refusal VALUES
    ('2026-01-01T00:00Z', 'invalid_api_key', 7), ('2026-01-01T00:01Z', 'invalid_api_key', 9007199254),
    ('2026-01-01T00:01Z', 'missing_api_key', 1)`)
  const first = Object((await ask('GET', '/api/refusals?limit=2')).body)
  const second = Object((await ask('GET', `/api/refusals?limit=2&cursor=${first.nextCursor}`)).body)
  expect([...first.data, ...second.data]).toEqual([
    { minute: '2026-01-01T00:01:00.000Z', code: 'invalid_api_key', count: 9_007_199_254 },
    { minute: '2026-01-01T00:01:00.000Z', code: 'missing_api_key', count: 1 },
    { minute: '2026-01-01T00:00:00.000Z', code: 'invalid_api_key', count: 7 },
  ])
  expect(second.nextCursor).toBeNull()
})
