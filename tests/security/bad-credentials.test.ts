import { catalogue, systemRandom } from '@latchkey/shared'
import { afterAll, expect, test } from 'vitest'
import { startTestGateway } from '../support/gateway.ts'
import { ask, connectTo } from '../support/http-client.ts'
import { carried, carrierPairs, credentialCases } from './credential-cases.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const { vault } = gateway
const { defaultOrganizationId: organization, proxyKeys } = vault
const providerSecret = `sk-canary-${Buffer.from(systemRandom(16)).toString('hex')}`
const simulator = {
  provider: 'simulator',
  baseUrl: 'http://simulator.internal/v1',
  secret: providerSecret,
}
const [good, other, revoked, paused, rotated] = [
  await gateway.keyFor(simulator),
  await gateway.keyFor(simulator),
  await gateway.keyFor(simulator),
  await gateway.keyFor(simulator),
  await gateway.keyFor(simulator),
]
const expired = await gateway.keyFor(simulator, { expiresAt: new Date(Date.now() - 1000) })
for (const changed of [
  await proxyKeys.revoke(organization, keyId(revoked.token)),
  await proxyKeys.pause(organization, keyId(paused.token)),
  await proxyKeys.rotate(organization, keyId(rotated.token), { graceMs: 0 }),
]) {
  if (changed.kind !== 'changed' && changed.kind !== 'rotated') throw new Error(changed.kind)
}

const cases = credentialCases({
  format: vault.tokens,
  good: good.token,
  other: other.token,
  goodId: good.id,
  revoked: revoked.token,
  expired: expired.token,
  paused: paused.token,
  replaced: rotated.token,
  admin: gateway.adminToken,
  provider: providerSecret,
})
const argon2Before = vault.argon2Runs

test('the table has at least a hundred cases, no two of them alike', () => {
  expect(new Set(cases.map(({ lines, target }) => JSON.stringify([lines, target]))).size).toBe(cases.length)
  expect(cases.length).toBeGreaterThanOrEqual(100)
})

test.each(cases)(
  '$name: $code, in the provider’s shape, without a word of what was sent',
  async ({ lines, code, target }) => {
    const answer = await answerTo(lines, target)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    const { status, type } = catalogue[code]

    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(head).toMatch(/\r\ncontent-type: application\/json\r\n/i)
    const parsed = JSON.parse(Buffer.from(body, 'latin1').toString())
    expect(parsed).toEqual({
      error: expect.objectContaining({ message: expect.any(String), type, code, param: null }),
    })
    const details =
      code === 'expired_api_key' ? { expired_at: expect.stringMatching(/^\d{4}-.*Z$/) } : undefined
    expect(parsed.error.details).toEqual(details)
    expect(Object.keys(parsed.error)).toHaveLength(details === undefined ? 4 : 5)

    for (const sent of [...lines.map((line) => line.slice(line.indexOf(':') + 1).trim()), target ?? '']) {
      for (const word of sent.split(/[\s,;"<>?=]+/)) if (word.length >= 8) expect(answer).not.toContain(word)
    }
    expect(vault.argon2Runs).toBe(argon2Before)
  },
)

test('no case has made argon2 run', () => {
  expect(vault.argon2Runs).toBe(argon2Before)
})

test.each(carrierPairs)('the same key in %s and %s is one key', async (one, two) => {
  expect(await statusOf([carried(one, good.token), carried(two, good.token)])).toBe(200)
})

test('a key that works is verified by argon2 once, and by none of the requests after it', async () => {
  await ask(gateway.url, '/v1/models', { key: other })
  const once = vault.argon2Runs
  expect(once).toBe(argon2Before + 2)
  await ask(gateway.url, '/v1/models', { key: other })
  expect(vault.argon2Runs).toBe(once)
})

test('an Authorization scheme is read in any case, as HTTP says', async () => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER'])
    expect(await statusOf([`Authorization: ${scheme} ${good.token}`])).toBe(200)
})

test('spaces and tabs around a header’s value are no part of it, as HTTP says', async () => {
  expect(await statusOf([`x-api-key: \t ${good.token} \t`])).toBe(200)
})

/** Sends header lines as they are and gives the whole answer. */
async function answerTo(lines: readonly string[], target = '/v1/models'): Promise<string> {
  const { socket, ended } = connectTo(gateway.url)
  const head = [`GET ${target} HTTP/1.1`, 'host: gateway', ...lines, 'connection: close']
  socket.write(`${head.join('\r\n')}\r\n\r\n`, 'latin1')
  return (await ended).toString('latin1')
}

async function statusOf(lines: readonly string[]): Promise<number> {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(await answerTo(lines))?.[1])
}

function keyId(token: string) {
  const parsed = vault.tokens.parse(token, 'proxy')
  if (parsed.kind !== 'ok') throw new Error(parsed.kind)
  return parsed.id
}
