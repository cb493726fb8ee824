import { randomBytes } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway, type TestGateway, type TestKey } from '../support/gateway.ts'
import { ask } from '../support/http-client.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'

const postgres = await startPostgres()
afterAll(() => postgres.discard())
const redis = await startRedis()
afterAll(() => redis.discard())
const database = await postgres.createDatabase()
const shared = {
  DATABASE_URL: postgres.url(database),
  REDIS_URL: redis.url,
  LATCHKEY_ROOT_KEY: randomBytes(32).toString('base64'),
}
const gateways = [await startTestGateway(shared), await startTestGateway(shared)] as const
afterAll(() => Promise.all(gateways.map((gateway) => gateway.stop())))

const limited = { limits: [{ unit: 'requests', per: 'hour', limit: 5 }] } as const
const answer = answerJson({ model: 'm', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } })

function logged({ log }: TestGateway, wanted: string): boolean {
  return log.events.some(({ event }) => event === wanted)
}

async function statuses(key: TestKey, count: number): Promise<readonly number[]> {
  const answers: number[] = []
  for (let sent = 0; sent < count; sent++) {
    const { url } = gateways[sent % 2] ?? gateways[0]
    const headers = { 'content-type': 'application/json' }
    const { status } = await ask(url, '/v1/chat/completions', { key, headers, body: '{"model":"m"}' })
    answers.push(status)
  }
  return answers
}

/** Resolves once each process has seen the other alive. */
async function acquainted(): Promise<void> {
  const counters = async () => {
    const rows = await postgres.query(database, 'SELECT counter FROM process_epoch WHERE ended_at IS NULL')
    return rows.map(({ counter }) => Number(counter))
  }
  const [first = 0, second = 0] = await counters()
  const later = Math.max(first, second) + 2
  await expect
    .poll(async () => Math.min(...(await counters())), { timeout: 30_000 })
    .toBeGreaterThanOrEqual(later)
}

test('two processes on one Redis count a limit together', async () => {
  const key = await gateways[0].keyFor(await startFakeUpstream(answer), limited)
  expect(await statuses(key, 8)).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
  expect(logged(gateways[0], 'limits.per_process')).toBe(false)
})

test('while Redis is away each process gives its share, and requests are still recorded once', async () => {
  const key = await gateways[0].keyFor(await startFakeUpstream(answer), {
    limits: [{ unit: 'requests', per: 'hour', limit: 4 }],
  })
  await acquainted()
  await redis.kill()
  const answers = await statuses(key, 8)
  expect(answers.filter((status) => status === 200)).toHaveLength(4)
  expect(await gateways[0].records(key, 8)).toHaveLength(8)
  await redis.start()
  await expect
    .poll(() => gateways.every((gateway) => logged(gateway, 'limits.restored')), { timeout: 10_000 })
    .toBe(true)
})
