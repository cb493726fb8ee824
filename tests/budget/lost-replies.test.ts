import { randomBytes } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask } from '../support/http-client.ts'
import { startPostgres } from '../support/postgres.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const postgres = await startPostgres()
afterAll(() => postgres.discard())

const body = '{"model":"gpt-5-nano","max_completion_tokens":1000,"messages":[]}'
const headers = { 'content-type': 'application/json' }

/** Whether these bytes are the end of an answer after which the server is idle: what it was asked for is committed. */
function isCommitted(answer: Buffer): boolean {
  return answer.subarray(-6).toString('latin1') === 'Z\0\0\0\x05I'
}

// As the prepared statements are named, in every message that runs them.
const grantsAndReturns = 'change-leases'
const settles = 'insert-requests'

test('a lost reply to a grant, a settle or a return neither loses nor doubles a nano-dollar', async () => {
  // 50 nano-dollars a token in, 400 out.
  const usage = { prompt_tokens: 10, completion_tokens: 1000 }
  const upstream = await startFakeUpstream(answerJson({ model: 'gpt-5-nano', choices: [], usage }))
  const database = await postgres.createDatabase()
  const proxy = await startTcpProxy({ port: postgres.port })
  const url = new URL(postgres.url(database))
  url.port = String(proxy.port)
  const gateway = await startTestGateway({
    DATABASE_URL: url.href,
    LATCHKEY_ROOT_KEY: randomBytes(32).toString('base64'),
  })
  const key = await gateway.keyFor(
    { provider: 'openai', baseUrl: upstream.baseUrl },
    { budgets: [{ period: 'total', limitUsd: '1' }] },
  )
  const lose = (statement: string) =>
    proxy.cutAfter((answer, asked) => isCommitted(answer) && asked.includes(statement))
  const send = async () => {
    const { status } = await ask(gateway.url, '/v1/chat/completions', { key, headers, body })
    expect(status).toBe(200)
  }

  // Its first request has no lease yet.
  const grantLost = lose(grantsAndReturns)
  await send()
  await grantLost
  for (let round = 0; round < 3; round++) {
    const settleLost = lose(settles)
    await send()
    await settleLost
  }
  const records = await gateway.records(key, 4)
  const spent = records.reduce((sum, { costUsd }) => sum + Math.round(Number(costUsd) * 1e9), 0)
  expect(records).toHaveLength(4)
  expect(spent).toBe(4 * 400_500)
  const windowOf = () =>
    postgres.query<Record<'settled' | 'leased' | 'unsettled' | 'overage' | 'outstanding', string>>(
      database,
      `SELECT settled_nano AS settled, leased_nano AS leased, unsettled_nano AS unsettled, overage_nano AS overage,
        (SELECT coalesce(sum(outstanding_nano), 0) FROM lease WHERE state = 'open') AS outstanding
      FROM budget_window`,
    )
  const [running] = await windowOf()
  expect(running).toMatchObject({ settled: String(spent), unsettled: '0', overage: '0' })
  expect(running?.leased).toBe(running?.outstanding)

  const returnLost = lose(grantsAndReturns)
  const stopped = gateway.stop()
  await returnLost
  await stopped
  const [closed] = await windowOf()
  expect(closed).toMatchObject({ settled: String(spent), leased: '0', unsettled: '0', overage: '0' })
  await proxy.close()
})
