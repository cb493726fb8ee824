import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { mintedProxyKeyWire, statusWire, vaultStatusWire } from '@latchkey/shared'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { latchkey } from '../cli/latchkey-process.ts'
import { type KillableGateway, startKillableGateway } from '../security/killable-gateway.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Whole processes start in every one of them.
vi.setConfig({ testTimeout: 120_000 })

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres({ maxConnections: 200 })
})
afterAll(() => postgres.discard())

async function settings(): Promise<Readonly<Record<string, string>>> {
  return { DATABASE_URL: postgres.url(await postgres.createDatabase()) }
}

async function call(
  gateway: KillableGateway,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const { status, text } = await gateway.admin(method, path, body)
  if (status >= 300) throw new Error(`${path}: ${text}`)
  return JSON.parse(text)
}

async function mint(gateway: KillableGateway): Promise<{ readonly id: string; readonly key: string }> {
  await call(gateway, 'POST', '/provider-keys', { name: 'sim', provider: 'simulator' })
  return mintedProxyKeyWire.parse(
    await call(gateway, 'POST', '/keys', { name: 'alice', providerKeys: ['sim'] }),
  )
}

/** The status of one small request. */
async function request(gateway: KillableGateway, key: string): Promise<number> {
  const { dataUrl } = await gateway.ready()
  const response = await fetch(`${dataUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-5-nano', max_tokens: 3, messages: [{ role: 'user', content: 'Hi' }] }),
  })
  await response.arrayBuffer()
  return response.status
}

test('a key that one process minted works at another, and is refused there within 2 s of being revoked', async () => {
  const directory = temporaryDirectory()
  const env = await settings()
  const [first, second] = [startKillableGateway(directory, env), startKillableGateway(directory, env)]
  await Promise.all([first.ready(), second.ready()])

  const { id, key } = await mint(first)
  expect(await request(second, key)).toBe(200)
  expect(await request(first, key)).toBe(200)

  await call(first, 'POST', `/keys/${id}/revoke`)
  const revokedAt = performance.now()
  while ((await request(second, key)) !== 401) {
    if (performance.now() - revokedAt > 2_000)
      throw new Error('it still serves a key that was revoked 2 s ago')
    await delay(10)
  }
  expect(await request(first, key)).toBe(401)
  // The other one still serves: neither has the data directory to itself.
  expect(await first.stop()).toBe(0)
  expect((await second.admin('GET', '/status')).status).toBe(200)
  expect(await second.stop()).toBe(0)
  expect(readdirSync(join(directory, 'processes'))).toEqual([])
})

test('ten processes that start at once on an empty database make one keyring, and all of them serve', async () => {
  const directory = temporaryDirectory()
  const env = await settings()
  const gateways = Array.from({ length: 10 }, () => startKillableGateway(directory, env))
  await Promise.all(gateways.map((gateway) => gateway.ready()))

  const vaults = await Promise.all(
    gateways.map(async (gateway) => vaultStatusWire.parse(await call(gateway, 'GET', '/vault'))),
  )
  expect(new Set(vaults.map((vault) => `${vault.deploymentId} ${vault.rootKeyId}`)).size).toBe(1)
  const made = gateways.filter((gateway) => gateway.output().includes('"keyring.created"'))
  expect(made).toHaveLength(1)

  const [first] = gateways
  if (first === undefined) throw new Error('there is none')
  const { key } = await mint(first)
  expect(await Promise.all(gateways.map((gateway) => request(gateway, key)))).toEqual(Array(10).fill(200))
  expect(await Promise.all(gateways.map((gateway) => gateway.stop()))).toEqual(Array(10).fill(0))
})

test('readiness, status, command line and doctor know the mode, and the start says what limits count', async () => {
  const directory = temporaryDirectory()
  const env = await settings()
  const cli = { LATCHKEY_DATA_DIR: directory, LATCHKEY_PORT: '0', LATCHKEY_ADMIN_PORT: '0', ...env }
  const before = await latchkey(['doctor'], cli)
  expect(before.stdout).toMatch(/ok +database +PostgreSQL 18\.\d+ \(server mode\) can be used/)
  expect(before).toMatchObject({ status: 0, stderr: '' })

  const gateway = startKillableGateway(directory, env)
  const { dataUrl } = await gateway.ready()
  expect(gateway.output()).toContain('"limits.per_process"')
  expect(await (await fetch(`${dataUrl}/readyz`)).json()).toEqual({ status: 'ready', mode: 'server' })
  expect(statusWire.parse(await call(gateway, 'GET', '/status'))).toMatchObject({
    mode: 'server',
    database: { kind: 'reachable' },
    records: { taken: 0, places: 20_000, dropped: 0 },
  })
  expect(await latchkey(['vault', 'status'], cli)).toMatchObject({ status: 0 })
  const during = await latchkey(['doctor', '--no-network'], cli)
  expect(during.stdout).toMatch(/\(server mode\) answers the gateway/)
  await gateway.kill()
  // Its announcement is still there, and nobody believes it.
  expect(await latchkey(['vault', 'status'], cli)).toMatchObject({ status: 69 })
})

test.each([
  ['stopped and started', async () => postgres.stop()],
  ['killed and started', async () => postgres.kill()],
])(
  'a process serves its known keys while Postgres is %s, and writes again afterwards',
  async (_title, end) => {
    const gateway = startKillableGateway(temporaryDirectory(), await settings())
    const { key } = await mint(gateway)
    expect(await request(gateway, key)).toBe(200)
    onTestFinished(() => postgres.start())
    await end()
    expect(await request(gateway, key)).toBe(200)
    expect((await gateway.admin('GET', '/keys')).status).toBe(503)
    const status = async () => statusWire.parse(await call(gateway, 'GET', '/status'))
    expect((await status()).database.kind).toBe('unreachable')
    expect((await status()).records.taken).toBeGreaterThan(0)
    await postgres.start()
    while ((await gateway.admin('GET', '/keys')).status !== 200) await delay(20)
    while ((await status()).records.taken > 0) await delay(20)
    await call(gateway, 'POST', '/provider-keys', { name: 'again', provider: 'simulator' })
    expect(await gateway.stop()).toBe(0)
    expect(gateway.output()).not.toContain('"records.lost"')
  },
)

test('a process that Postgres does not answer any more can be stopped, within half a minute', async () => {
  const gateway = startKillableGateway(temporaryDirectory(), await settings())
  await gateway.ready()
  postgres.freeze()
  try {
    const began = performance.now()
    expect(await gateway.stop()).toBe(0)
    expect(performance.now() - began).toBeLessThan(30_000)
  } finally {
    postgres.thaw()
  }
})

test('a start waits for a Postgres that is not up yet', async () => {
  const env = await settings()
  onTestFinished(() => postgres.start())
  await postgres.stop()
  const gateway = startKillableGateway(temporaryDirectory(), env)
  await gateway.logged('database.awaited')
  await postgres.start()
  await gateway.ready()
})

test('the password is in no output, whether the gateway runs, is refused or finds nothing', async () => {
  const url = (await settings()).DATABASE_URL ?? ''
  const wrong = url.replace(postgres.password, 'canary-wrong-password')
  const nowhere = url.replace(/\/[^/]*$/, '/canary_absent')
  for (const [bad, status] of [
    [wrong, 69],
    [nowhere, 69],
    [`${wrong}?sslmode=require`, 69],
    [url.replace('postgres:', 'mysql:'), 78],
    [url.replace('@', '%@'), 78],
    [`${url}?pgbouncer=true`, 78],
  ] as const) {
    const ended = await latchkey(['serve'], { LATCHKEY_DATA_DIR: temporaryDirectory(), DATABASE_URL: bad })
    expect.soft(ended.status, ended.stderr).toBe(status)
    expect.soft(ended.stderr + ended.stdout).not.toMatch(/canary-/)
    const doctor = await latchkey(['doctor', '--json'], {
      LATCHKEY_DATA_DIR: temporaryDirectory(),
      LATCHKEY_PORT: '0',
      LATCHKEY_ADMIN_PORT: '0',
      DATABASE_URL: bad,
    })
    expect.soft(doctor.status).toBe(1)
    expect.soft(doctor.stderr + doctor.stdout).not.toMatch(/canary-/)
  }
  const gateway = startKillableGateway(temporaryDirectory(), {
    DATABASE_URL: url,
    LATCHKEY_LOG_LEVEL: 'debug',
  })
  await mint(gateway)
  await gateway.stop()
  expect(gateway.output()).not.toContain(postgres.password)
})
