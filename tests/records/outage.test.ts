import { setTimeout as delay } from 'node:timers/promises'
import type { RequestWire } from '@latchkey/shared'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { simulator } from '../../gateway/src/providers/simulator/simulator.ts'
import { startTestGateway, type TestGateway, type TestKey } from '../support/gateway.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

vi.setConfig({ testTimeout: 60_000 })

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.discard())

/** Of a queue this small, half is soon taken. */
const places = 60

async function start(env: Readonly<Record<string, string>>): Promise<{ gateway: TestGateway; key: TestKey }> {
  const gateway = await startTestGateway({
    LATCHKEY_DATA_DIR: temporaryDirectory(),
    LATCHKEY_RECORD_QUEUE: String(places),
    ...env,
  })
  onTestFinished(() => gateway.stop())
  const key = await gateway.keyFor({ provider: 'simulator', baseUrl: simulator.defaultBaseUrl ?? '' })
  expect(await ask(gateway, key)).toBe(200)
  await gateway.records(key, 1)
  return { gateway, key }
}

async function ask({ url }: TestGateway, { token }: TestKey): Promise<number> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-5-nano', max_tokens: 1, messages: [{ role: 'user', content: 'Hi' }] }),
  })
  await response.arrayBuffer()
  return response.status
}

/** How many of `count` requests, one after the other, were answered 200. */
async function askAll(gateway: TestGateway, key: TestKey, count: number): Promise<number> {
  let answered = 0
  for (let at = 0; at < count; at++) {
    if ((await ask(gateway, key)) === 200) answered++
    // Records go to the disk once the database is found to be away.
    await delay(20)
  }
  return answered
}

const idsOf = (records: readonly RequestWire[]) => new Set(records.map(({ id }) => id))

test('a gateway goes on serving while its Postgres is down, and writes one record of each request when it is back', async () => {
  const { gateway, key } = await start({ DATABASE_URL: postgres.url(await postgres.createDatabase()) })
  onTestFinished(() => postgres.start())
  await postgres.stop()
  expect(await askAll(gateway, key, 4 * places)).toBe(4 * places)
  await postgres.start()
  const records = await gateway.records(key, 4 * places + 1)
  expect([records.length, idsOf(records).size]).toEqual([4 * places + 1, 4 * places + 1])
})

test('it does so too where its Postgres is there and answers nothing', async () => {
  const { gateway, key } = await start({ DATABASE_URL: postgres.url(await postgres.createDatabase()) })
  onTestFinished(() => postgres.thaw())
  postgres.freeze()
  // Until it is found out, a queue this small may be full for a second.
  let answered = 0
  await expect
    .poll(async () => (answered += await askAll(gateway, key, 1)), { timeout: 20_000, interval: 5 })
    .toBe(3 * places)
  postgres.thaw()
  const records = await gateway.records(key, answered + 1)
  expect(records.filter(({ status }) => status === 200)).toHaveLength(answered + 1)
})

test('one that stops while its Postgres is down leaves its records to the next that starts', async () => {
  const env = {
    DATABASE_URL: postgres.url(await postgres.createDatabase()),
    LATCHKEY_DATA_DIR: temporaryDirectory(),
  }
  const { gateway, key } = await start(env)
  onTestFinished(() => postgres.start())
  await postgres.stop()
  expect(await askAll(gateway, key, 5)).toBe(5)
  await gateway.stop()
  await postgres.start()
  const next = await startTestGateway(env)
  onTestFinished(() => next.stop())
  expect(await next.records(key, 6)).toHaveLength(6)
})

test('when the disk is full as well it refuses with 503, and serves again by itself', async () => {
  const { gateway, key } = await start({
    DATABASE_URL: postgres.url(await postgres.createDatabase()),
    LATCHKEY_SPOOL_BYTES: '5000',
  })
  onTestFinished(() => postgres.start())
  await postgres.stop()
  const answered = await askAll(gateway, key, 3 * places)
  expect(answered).toBeLessThan(3 * places)
  expect(await ask(gateway, key)).toBe(503)
  await postgres.start()
  await expect.poll(() => ask(gateway, key), { timeout: 10_000 }).toBe(200)
  const records = await gateway.records(key, answered + 2)
  // Refusals may be recorded too.
  expect(records.filter(({ status }) => status === 200)).toHaveLength(answered + 2)
})
