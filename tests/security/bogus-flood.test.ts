import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { type SnapshotLimits, Snapshots } from '../../vault/src/snapshots.ts'
import { refused } from '../../vault/src/verification.ts'
import { bogusKey } from '../support/bogus-keys.ts'
import { startTestGateway } from '../support/gateway.ts'
import { SteppingClock } from '../support/stepping-clock.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const requests = 2000
const lanes = 16

test('a flood of bogus keys runs no argon2, adds no row a request and changes nothing for a key that works', async () => {
  const good = await gateway.keyFor({ provider: 'simulator', baseUrl: 'http://simulator.internal/v1' })
  const agent = new Agent({ keepAlive: true, maxSockets: lanes + 1 })
  onTestFinished(() => agent.destroy())
  const send = async (token: string): Promise<number> => {
    const [response] = await once(
      get(`${gateway.url}/v1/models`, { agent, headers: { authorization: `Bearer ${token}` } }),
      'response',
    )
    await once(response.resume(), 'end')
    return response.statusCode
  }
  expect(await send(good.token)).toBe(200)
  const argon2Before = gateway.vault.argon2Runs

  const statuses = new Map<number, number>()
  let sent = 0
  const lane = async () => {
    while (sent < requests) {
      const status = await send(bogusKey(good.token, sent++))
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))

  expect([...statuses]).toEqual([[401, requests]])
  expect(await send(good.token)).toBe(200)
  expect(gateway.vault.argon2Runs).toBe(argon2Before)
  await gateway.records(good, 2)
  expect(await rowsOf('request')).toBe(2)
  // One a minute and code, and the flood may have begun in one minute and ended in another.
  expect(await rowsOf('refusal')).toBeLessThanOrEqual(2)
  // The last of them may be written after the record of the request that followed them.
  const counted = async () => (await gateway.refusals()).reduce((sum, { count }) => sum + count, 0)
  await expect.poll(counted).toBe(requests)
})

test('what is remembered of refused tokens is bounded, and forgets the oldest first', () => {
  const clock = new SteppingClock()
  const limits: SnapshotLimits = {
    snapshots: 10,
    accepted: 10,
    refusals: 10,
    refuseForMs: 5000,
    staleForMs: 0,
  }
  const snapshots = new Snapshots(gateway.vault.changes, clock, limits)
  const names = Array.from({ length: 1000 }, (_, index) => `token-${index}`)
  for (const name of names) snapshots.refuse(name, refused('unknown'), gateway.vault.changes.generation)
  expect(names.filter((name) => snapshots.fresh(name) !== undefined)).toEqual(names.slice(-10))
  clock.step(5001)
  expect(names.filter((name) => snapshots.fresh(name) !== undefined)).toEqual([])
})

async function rowsOf(table: 'request' | 'refusal'): Promise<number> {
  const client = new pg.Client({
    host: join(gateway.dataDirectory, 'run'),
    port: 5432,
    user: 'latchkey',
    database: 'latchkey',
  })
  await client.connect()
  try {
    const { rows } = await client.query(`SELECT count(*)::int AS count FROM ${table}`)
    return rows[0].count
  } finally {
    await client.end()
  }
}
