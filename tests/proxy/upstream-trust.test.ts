import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAddress, parseCidr } from '@latchkey/shared'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { addressPermitted } from '../../gateway/src/upstream/address-policy.ts'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, codeOf } from '../support/http-client.ts'
import type { RecordedLog } from '../support/recorded-log.ts'

const gateway = await startTestGateway({ LATCHKEY_ALLOW_UPSTREAM_CIDRS: '127.0.0.0/9' })
afterAll(() => gateway.stop())

const unreachable = { status: 502, code: 'upstream_unreachable', attempts: 1 }

/** Why the last attempt failed. */
function lastFailure({ events }: RecordedLog): unknown {
  return events.findLast(({ event }) => event === 'upstream.attempt_failed')?.fields.errorCode
}

/** Counts the connections that are made to it, and answers none. */
async function listening(host: string): Promise<{ readonly port: number; connections(): number }> {
  let count = 0
  const server = createServer((socket) => {
    count++
    socket.destroy()
  }).listen(0, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return { port: address.port, connections: () => count }
}

function selfSigned(names: string): { readonly key: Buffer; readonly cert: Buffer } {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-certificate-'))
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const subject = ['-subj', '/CN=localhost', '-addext', `subjectAltName=${names}`]
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const made = { key: readFileSync(key), cert: readFileSync(cert) }
  rmSync(directory, { recursive: true })
  return made
}

test('a provider that nobody listens for is a 502', async () => {
  const key = await gateway.keyFor({ baseUrl: 'http://127.0.0.1:1/v1' })
  const answer = await ask(gateway.url, '/v1/models', { key })
  expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
  expect(await gateway.records(key)).toMatchObject([unreachable])
})

test('a provider whose certificate nobody vouches for is a 502 and gets neither key nor request', async () => {
  const server = createTlsServer(selfSigned('IP:127.0.0.1,DNS:localhost'))
  const upstream = await startFakeUpstream(answerJson({}), { server })
  const key = await gateway.keyFor({ baseUrl: `https://127.0.0.1:${upstream.port}/v1` })
  const answer = await ask(gateway.url, '/v1/models', { key })
  expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
  expect(upstream.requests).toHaveLength(0)
  expect(lastFailure(gateway.log)).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
})

test('no variable of the environment turns the verification of certificates off', async () => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  onTestFinished(() => void delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
  const server = createTlsServer(selfSigned('IP:127.0.0.1,DNS:localhost'))
  const upstream = await startFakeUpstream(answerJson({}), { server })
  const key = await gateway.keyFor({ baseUrl: `https://127.0.0.1:${upstream.port}/v1` })
  expect((await ask(gateway.url, '/v1/models', { key })).status).toBe(502)
  expect(upstream.requests).toHaveLength(0)
})

test('a base URL without a path gets requests to /v1 itself at its root', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor({ baseUrl: `http://127.0.0.1:${upstream.port}` })
  for (const [path, url] of [
    ['/v1', '/'],
    ['/v1?a=b', '/?a=b'],
    ['/v1/models', '/models'],
  ]) {
    expect((await ask(gateway.url, path ?? '', { key })).status).toBe(200)
    expect(upstream.requests.at(-1)?.url).toBe(url)
  }
})

test.each([301, 302, 303, 307, 308])('a %i passes through and is not followed', async (status) => {
  const other = await startFakeUpstream(answerJson({}))
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(status, { location: `${other.baseUrl}/models` }).end()
  })
  const answer = await ask(gateway.url, '/v1/models', { key: await gateway.keyFor(upstream) })
  expect(answer.status).toBe(status)
  expect(answer.headers.location).toBe(`${other.baseUrl}/models`)
  expect(other.requests).toHaveLength(0)
})

test.each([
  ['http://127.200.0.1', '127.200.0.1'],
  ['https://127.200.0.1', '127.200.0.1'],
  ['http://[::1]', '::1'],
  ['https://[::1]', '::1'],
])('%s, outside of the allowed blocks, is never connected to', async (origin, host) => {
  const target = await listening(host)
  const key = await gateway.keyFor({ baseUrl: `${origin}:${target.port}/v1` })
  const answer = await ask(gateway.url, '/v1/models', { key })
  expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
  expect(target.connections()).toBe(0)
  expect(lastFailure(gateway.log)).toBe('ERR_ADDRESS_REFUSED')
  // Why is for the operator's log: a client learns nothing of the inside.
  expect(answer.body.toString()).not.toContain('ALLOW_UPSTREAM')
})

test('a name is judged by the address that it resolves to', async () => {
  const strict = await startTestGateway({ LATCHKEY_ALLOW_UPSTREAM_CIDRS: '10.0.0.0/8' })
  onTestFinished(() => strict.stop())
  const target = await listening('127.0.0.1')
  for (const origin of ['http://localhost', 'https://localhost', 'http://127.0.0.1']) {
    const key = await strict.keyFor({ baseUrl: `${origin}:${target.port}/v1` })
    expect((await ask(strict.url, '/v1/models', { key })).status).toBe(502)
    expect(lastFailure(strict.log)).toBe('ERR_ADDRESS_REFUSED')
  }
  expect(target.connections()).toBe(0)
  const upstream = await startFakeUpstream(answerJson({}))
  const allowed = await gateway.keyFor({ baseUrl: `http://localhost:${upstream.port}/v1` })
  expect((await ask(gateway.url, '/v1/models', { key: allowed })).status).toBe(200)
})

test('public addresses are for TLS only; inside ones only where they are allowed', () => {
  const inside = [parseCidr('10.0.0.0/8'), parseCidr('fd00::/8')].filter((block) => block !== null)
  const cases = [
    ['93.184.216.34', true, true],
    ['93.184.216.34', false, false],
    ['2606:2800:220:1::1', true, true],
    ['10.1.2.3', false, true],
    ['::ffff:10.1.2.3', false, true],
    ['fd00::1', true, true],
    ['192.168.0.1', true, false],
    ['172.16.0.1', true, false],
    ['100.64.0.1', true, false],
    ['169.254.169.254', true, false],
    ['::ffff:169.254.169.254', true, false],
    ['127.0.0.1', true, false],
    ['0.0.0.0', true, false],
    ['::', true, false],
    ['::1', true, false],
    ['fe80::1%eth0', true, false],
    ['64:ff9b::7f00:1', true, false],
    ['2002:7f00:1::', true, false],
    ['192.0.2.1', true, false],
    ['224.0.0.1', true, false],
    ['255.255.255.255', true, false],
    ['localhost', true, false],
  ] as const
  for (const [address, secure, permitted] of cases) {
    expect([address, secure, addressPermitted(address, secure, inside)]).toEqual([address, secure, permitted])
    if (permitted) expect(parseAddress(address)).not.toBeNull()
  }
})
