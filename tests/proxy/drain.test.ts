import { once } from 'node:events'
import { Agent } from 'node:http'
import { expect, test } from 'vitest'
import { event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, codeOf, connectTo, head } from '../support/http-client.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const delta = event({ choices: [{ delta: { content: 'Hel' } }] })
const usageEvent = event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 9 } })
const body = '{"stream":true,"stream_options":{"include_usage":true}}'

function streamRequest(token: string): string {
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': body.length,
  }
  return head('POST', '/v1/chat/completions', headers) + body
}

test('a running stream finishes and is recorded; what comes meanwhile is refused as draining', async () => {
  const LATCHKEY_DATA_DIR = temporaryDirectory()
  const gateway = await startTestGateway({ LATCHKEY_DATA_DIR })
  const goOn = Promise.withResolvers<void>()
  const upstream = await startFakeUpstream(async ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta)
    await goOn.promise
    response.end(`${usageEvent}data: [DONE]\n\n`)
  })
  const key = await gateway.keyFor(upstream)
  const connection = connectTo(gateway.url)
  connection.socket.write(streamRequest(key.token))
  await connection.until('Hel')

  const draining = gateway.log.next('gateway.draining')
  const stopped = gateway.stop()
  await draining
  const late = await ask(gateway.url, '/v1/models', { key })
  expect([late.status, codeOf(late), late.headers['retry-after']]).toEqual([503, 'draining', '1'])
  const kept = connectTo(gateway.url)
  kept.socket.write(head('GET', '/v1/models', { authorization: `Bearer ${key.token}` }))
  // It is told to go elsewhere, and its connection is closed behind the answer.
  const refused = (await kept.ended).toString()
  expect(refused).toMatch(/^HTTP\/1.1 503 /)
  expect(refused).toContain('\r\nconnection: close\r\n')
  expect((await ask(gateway.url, '/readyz')).status).toBe(503)
  expect((await ask(gateway.url, '/livez')).status).toBe(200)
  expect(upstream.requests).toHaveLength(1)
  goOn.resolve()
  expect(await connection.until('[DONE]')).toContain('prompt_tokens')
  expect((await connection.ended).toString()).toMatch(/\r\n0\r\n\r\n$/)
  await stopped

  const again = await startTestGateway({ LATCHKEY_DATA_DIR })
  const records = await again.records(key)
  await again.stop()
  expect(records).toMatchObject([{ status: 200, disconnected: false, truncated: false, outputTokens: 9 }])
})

test('a stream that outlasts the deadline is cut, its upstream ended and its record kept', async () => {
  const LATCHKEY_DATA_DIR = temporaryDirectory()
  const gateway = await startTestGateway({ LATCHKEY_DATA_DIR, LATCHKEY_DRAIN_TIMEOUT_MS: '300' })
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta)
  })
  const key = await gateway.keyFor(upstream)
  const connection = connectTo(gateway.url)
  connection.socket.write(streamRequest(key.token))
  await connection.until('Hel')
  const began = performance.now()
  await gateway.stop()
  expect(performance.now() - began).toBeLessThan(20_000)
  expect((await connection.ended).toString()).not.toMatch(/\r\n0\r\n\r\n$/)
  await upstream.requests[0]?.closed

  const again = await startTestGateway({ LATCHKEY_DATA_DIR })
  const records = await again.records(key)
  await again.stop()
  expect(records).toMatchObject([{ status: 200, usageMissing: true, truncated: true, disconnected: false }])
  expect(gateway.log.events.map(({ event: name }) => name)).not.toContain('records.lost')
})

test('an answer that its client has not read yet is not cut short', async () => {
  const gateway = await startTestGateway()
  const size = 12 * 2 ** 20
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-length': size }).end(Buffer.alloc(size))
  })
  const key = await gateway.keyFor(upstream)
  const { socket, until } = connectTo(gateway.url)
  const authorization = `Bearer ${key.token}`
  socket.write(head('GET', '/v1/files/f/content', { authorization }))
  await until('\r\n\r\n')
  socket.pause()
  socket.removeAllListeners('data')
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  socket.pause()
  const draining = gateway.log.next('gateway.draining')
  const stopped = gateway.stop()
  await draining
  socket.resume()
  await once(socket, 'close')
  await stopped
  expect(received).toBeGreaterThan(size - 2 ** 20)
})

test('idle connections do not hold a shutdown up', async () => {
  const gateway = await startTestGateway()
  const agent = new Agent({ keepAlive: true })
  await ask(gateway.url, '/v1/models', { agent })
  const began = performance.now()
  await gateway.stop()
  expect(performance.now() - began).toBeLessThan(20_000)
  agent.destroy()
})
