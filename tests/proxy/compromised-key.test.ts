import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type ProxyKeyId, systemClock, systemRandom, uuidv7 } from '@latchkey/shared'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { CompromisedKeys } from '../../gateway/src/proxy/compromised-keys.ts'
import { InFlight } from '../../gateway/src/proxy/in-flight.ts'
import { event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway, type TestGateway, type TestKey } from '../support/gateway.ts'
import { ask, codeOf, connectTo, head } from '../support/http-client.ts'
import { startPostgres } from '../support/postgres.ts'
import { recordLog } from '../support/recorded-log.ts'

const postgres = await startPostgres()
afterAll(() => postgres.discard())
const shared = {
  DATABASE_URL: postgres.url(await postgres.createDatabase()),
  LATCHKEY_ROOT_KEY: randomBytes(32).toString('base64'),
}
const gateways = [await startTestGateway(shared), await startTestGateway(shared)] as const
afterAll(() => Promise.all(gateways.map((gateway) => gateway.stop())))

const delta = event({ model: 'gpt-5-nano', choices: [{ delta: { content: 'Hel' } }] })
const body = '{"model":"gpt-5-nano","stream":true,"max_completion_tokens":100,"messages":[]}'

/** A stream that goes on for as long as its client reads. */
function endless() {
  return startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta)
  })
}

async function stream(gateway: TestGateway, { token }: TestKey) {
  const connection = connectTo(gateway.url)
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': body.length,
  }
  connection.socket.write(head('POST', '/v1/chat/completions', headers) + body)
  await connection.until('Hel')
  return connection
}

async function revoke({ adminUrl, adminToken }: TestGateway, key: TestKey, body: object): Promise<unknown> {
  const response = await fetch(`${adminUrl}/api/keys/${key.id}/revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(200)
  return response.json()
}

test('a key revoked as compromised loses its running streams in every process within two seconds', async () => {
  const [one, other] = gateways
  const upstream = await endless()
  const provider = { provider: 'openai', baseUrl: upstream.baseUrl }
  const key = await one.keyFor(provider, { budgets: [{ period: 'total', limitUsd: '1' }] })
  const bystander = await one.keyFor(provider)
  const [here, there, untouched] = [
    await stream(one, key),
    await stream(other, key),
    await stream(other, bystander),
  ]
  expect(await revoke(one, key, { reason: 'compromised' })).toMatchObject({
    status: 'revoked',
    compromisedAt: expect.stringMatching(/^20/),
  })
  const began = performance.now()
  const ends = await Promise.all([here.ended, there.ended])
  expect(performance.now() - began).toBeLessThan(2000)
  // Neither a last chunk nor `[DONE]`: no client takes it for a whole answer.
  for (const end of ends) expect(end.toString()).not.toMatch(/\[DONE\]|\r\n0\r\n\r\n$/)
  // The provider stops as well.
  await Promise.all([upstream.requests[0]?.closed, upstream.requests[1]?.closed])
  const refused = await ask(other.url, '/v1/models', { key })
  expect([refused.status, codeOf(refused)]).toEqual([401, 'revoked_api_key'])
  // The refusal has a record, too, which may be there before theirs.
  const cut = await vi.waitFor(async () => {
    const streams = (await one.records(key, 2)).filter(({ endpoint }) => endpoint === '/v1/chat/completions')
    expect(streams).toHaveLength(2)
    return streams
  }, 10_000)
  for (const record of cut)
    expect(record).toMatchObject({ status: 200, code: 'revoked_api_key', truncated: true, estimated: true })
  // What was held for them is what they are charged: nobody knows how much was generated.
  expect(cut.every(({ costUsd }) => Number(costUsd) > 0)).toBe(true)
  expect(untouched.socket.destroyed).toBe(false)
  untouched.socket.destroy()
  await once(untouched.socket, 'close')
})

test('a key that was revoked without a reason keeps its running streams, until it is said to be compromised', async () => {
  const [one, other] = gateways
  const upstream = await endless()
  const key = await one.keyFor(upstream)
  const running = await stream(other, key)
  await revoke(one, key, {})
  await expect
    .poll(async () => (await ask(other.url, '/v1/models', { key })).status, { interval: 20, timeout: 5000 })
    .toBe(401)
  expect(running.socket.destroyed).toBe(false)
  await revoke(one, key, { reason: 'compromised' })
  expect((await running.ended).toString()).not.toMatch(/\r\n0\r\n\r\n$/)
})

test('a look at the database that fails is repeated, though nothing changes any more', async () => {
  const inFlight = new InFlight()
  const key = uuidv7<ProxyKeyId>(systemClock, systemRandom)
  const server = createServer((_, outgoing: ServerResponse) => {
    outgoing.writeHead(200).write('Hel')
    inFlight.add(outgoing)
    inFlight.own(outgoing, key)
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  let changed = () => {}
  let looks = 0
  const compromisedKeys = new CompromisedKeys({
    inFlight,
    changes: {
      watch(told) {
        changed = told
        return () => {}
      },
    },
    async find(keys) {
      looks += 1
      if (looks === 1) throw new Error('no connection is free')
      return keys
    },
    log: recordLog(),
  })
  onTestFinished(() => compromisedKeys.close())
  compromisedKeys.start()
  const connection = connectTo(`http://127.0.0.1:${address.port}`)
  connection.socket.write(head('GET', '/', {}))
  await connection.until('Hel')
  changed()
  expect((await connection.ended).toString()).not.toMatch(/\r\n0\r\n\r\n$/)
  expect(looks).toBe(2)
})
