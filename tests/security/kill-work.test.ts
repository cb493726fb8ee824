import { createServer } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { mintedProxyKeyWire, vaultStatusWire, vaultVerifyWire } from '@latchkey/shared'
import { expect, onTestFinished, test } from 'vitest'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import {
  type KillableGateway,
  processesNaming,
  serversOf,
  startKillableGateway,
  untilEntry,
} from './killable-gateway.ts'

const manyKeys = 60

/** A provider that remembers which keys it was sent. */
async function startProvider(): Promise<{ readonly baseUrl: string; seen(): readonly string[] }> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push((request.headers.authorization ?? '').replace('Bearer ', ''))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[]}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return { baseUrl: `http://127.0.0.1:${port}/v1`, seen: () => seen.splice(0) }
}

async function addProviderKey(
  gateway: KillableGateway,
  name: string,
  baseUrl: string,
  secret: string,
): Promise<void> {
  const answer = await gateway.admin('POST', '/provider-keys', {
    name,
    provider: 'openai-compatible',
    baseUrl,
    secret,
  })
  if (answer.status !== 201) throw new Error(answer.text)
}

async function mint(gateway: KillableGateway, name: string, providerKey: string): Promise<string> {
  const answer = await gateway.admin('POST', '/keys', { name, providerKeys: [providerKey] })
  if (answer.status !== 201) throw new Error(answer.text)
  return mintedProxyKeyWire.parse(JSON.parse(answer.text)).key
}

async function works(gateway: KillableGateway, token: string): Promise<boolean> {
  const { dataUrl } = await gateway.ready()
  const response = await fetch(`${dataUrl}/v1/models`, { headers: { authorization: `Bearer ${token}` } })
  await response.arrayBuffer()
  return response.status === 200
}

async function expectNothingDamaged(gateway: KillableGateway) {
  await gateway.ready()
  expect(serversOf(gateway.dataDirectory)).toHaveLength(1)
  const { status, text } = await gateway.admin('POST', '/vault/verify', {})
  expect(status).toBe(200)
  const report = vaultVerifyWire.parse(JSON.parse(text))
  expect(report.damaged).toEqual([])
  return report
}

async function expectNothingLeftRunning(gateway: KillableGateway): Promise<void> {
  expect(await gateway.stop()).toBe(0)
  expect(processesNaming(gateway.dataDirectory)).toEqual([])
}

/** Repeats `action` in several lanes until the gateway dies under it, and calls `each` after every one that was answered. */
async function untilDead(lanes: number, action: (turn: number) => Promise<void>): Promise<void> {
  let turn = 0
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      try {
        for (;;) await action(turn++)
      } catch {
        // The connection broke: it has been killed.
      }
    }),
  )
}

test('every key that was shown to somebody works after the gateway was killed while it minted', {
  timeout: 90_000,
}, async () => {
  const directory = temporaryDirectory()
  const { baseUrl } = await startProvider()
  const shown: string[] = []
  let gateway = startKillableGateway(directory)
  await addProviderKey(gateway, 'main', baseUrl, 'sk-main-0123456789')
  for (const killAfter of [1, 4, 9]) {
    const running = gateway
    const goal = shown.length + killAfter
    await untilDead(6, async (turn) => {
      shown.push(await mint(running, `key-${turn}`, 'main'))
      if (shown.length >= goal) await running.kill()
    })
    gateway = startKillableGateway(directory)
    const { proxyKeys } = await expectNothingDamaged(gateway)
    expect(proxyKeys).toBeGreaterThanOrEqual(shown.length)
  }
  for (const token of shown) expect(await works(gateway, token)).toBe(true)
  expect(shown.length).toBeGreaterThanOrEqual(14)
  await expectNothingLeftRunning(gateway)
})

test('a provider key has its old secret or its new one, whole, after a kill in the middle of its rotation', {
  timeout: 90_000,
}, async () => {
  const directory = temporaryDirectory()
  const { baseUrl, seen } = await startProvider()
  let gateway = startKillableGateway(directory)
  let answered = 'sk-secret-000000000'
  await addProviderKey(gateway, 'main', baseUrl, answered)
  const token = await mint(gateway, 'alice', 'main')
  for (const killAfter of [0, 3, 8]) {
    const running = gateway
    let asked = answered
    let done = 0
    const dying = untilDead(1, async (turn) => {
      asked = `sk-secret-${killAfter}-${turn}-${'x'.repeat(turn * 7)}`
      const sending = running.admin('POST', '/provider-keys/main/rotate', { secret: asked })
      if (done === killAfter) void running.kill()
      const { status, text } = await sending
      if (status !== 200) throw new Error(text)
      answered = asked
      done++
    })
    await dying
    gateway = startKillableGateway(directory)
    await expectNothingDamaged(gateway)
    expect(await works(gateway, token)).toBe(true)
    const [used = ''] = seen()
    expect([answered, asked]).toContain(used)
    answered = used
  }
  await expectNothingLeftRunning(gateway)
})

/** Enough rows that a re-encryption takes longer than a kill. */
async function fill(gateway: KillableGateway, baseUrl: string): Promise<readonly string[]> {
  const names = Array.from({ length: manyKeys }, (_, index) => `provider-${index}`)
  await Promise.all(
    names.map((name) => addProviderKey(gateway, name, baseUrl, `sk-${name}-0123456789abcdef`)),
  )
  const some = names.filter((_, index) => index % 10 === 0)
  return Promise.all(some.map((name) => mint(gateway, `key of ${name}`, name)))
}

async function expectAllSecrets(
  gateway: KillableGateway,
  tokens: readonly string[],
  seen: () => readonly string[],
) {
  for (const token of tokens) expect(await works(gateway, token)).toBe(true)
  expect(seen()).toEqual(tokens.map((_, index) => `sk-provider-${index * 10}-0123456789abcdef`))
}

test('nothing sealed is lost when the gateway is killed at any moment of a rotation of its data keys', {
  timeout: 90_000,
}, async () => {
  const directory = temporaryDirectory()
  const { baseUrl, seen } = await startProvider()
  let gateway = startKillableGateway(directory)
  const tokens = await fill(gateway, baseUrl)
  for (const moment of [0, 10, 20, 40, 'keyring.rotated']) {
    const rotating = gateway.admin('POST', '/vault/rotate-keyring', {}).catch(() => null)
    await (typeof moment === 'number' ? delay(moment) : gateway.logged(moment))
    await gateway.kill()
    await rotating
    gateway = startKillableGateway(directory)
    const report = await expectNothingDamaged(gateway)
    expect(report).toMatchObject({ providerKeys: manyKeys, proxyKeys: tokens.length })
    await expectAllSecrets(gateway, tokens, seen)
  }
  expect((await gateway.admin('POST', '/vault/rotate-keyring', {})).status).toBe(200)
  await expectNothingDamaged(gateway)
  await expectAllSecrets(gateway, tokens, seen)
  await expectNothingLeftRunning(gateway)
})

test('one root key opens the vault after a kill at any moment of its rotation, and it can be rotated again', {
  timeout: 90_000,
}, async () => {
  const directory = temporaryDirectory()
  const { baseUrl, seen } = await startProvider()
  let gateway = startKillableGateway(directory)
  const tokens = await fill(gateway, baseUrl)
  for (const milliseconds of [0, 4, 8, 12, 20]) {
    // The new root key is staged in a file first: from then on there are two, and either must do.
    const staged = untilEntry(directory, 'root.key.')
    const rotating = gateway.admin('POST', '/vault/rotate-root', {}).catch(() => null)
    await staged
    await delay(milliseconds)
    await gateway.kill()
    await rotating
    gateway = startKillableGateway(directory)
    await expectNothingDamaged(gateway)
  }
  await expectAllSecrets(gateway, tokens, seen)
  const before = await rootKeyId(gateway)
  expect((await gateway.admin('POST', '/vault/rotate-root', {})).status).toBe(200)
  expect(await rootKeyId(gateway)).not.toBe(before)
  await expectNothingDamaged(gateway)
  await expectNothingLeftRunning(gateway)
})

async function rootKeyId(gateway: KillableGateway): Promise<string | null> {
  return vaultStatusWire.parse(JSON.parse((await gateway.admin('GET', '/vault')).text)).rootKeyId
}
