import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { filesBelow, findCanaries } from './canary.ts'
import { CanaryTrial, type ShownKey } from './canary-trial.ts'
import { processesNaming, serversOf } from './killable-gateway.ts'
import { startUnrulyProvider, type UnrulyProvider } from './unruly-provider.ts'

test('a secret is nowhere but at its provider, whatever is asked of the gateway and whatever breaks in it', {
  timeout: 180_000,
}, async () => {
  const provider = await startUnrulyProvider()
  const trial = new CanaryTrial(temporaryDirectory(), provider.baseUrl)
  const adminToken = await trial.adminToken()

  await storeProviderKeys(trial, provider)
  const keys = await mintKeys(trial)
  await sendRequests(trial, keys)
  await sendRefused(trial, keys, adminToken)
  await breakThings(trial, keys)
  await readEverything(trial, keys)
  lookAtProcesses(trial)
  await dieAndStop(trial, keys)

  const files = filesBelow(trial.directory)
  for (const [path, content] of files) trial.keep(path, content)
  const others = trial.places.filter(([place]) => place !== join(trial.directory, 'admin.token'))
  expect(findCanaries(trial.canaries, others)).toEqual([])
  expect([...provider.keys].filter((key) => !trial.atProvider.has(key))).toEqual([])

  // The search finds what is there: a name in the database's files and in an answer, an event in the log.
  const name = { name: 'limited', bytes: Buffer.from('limited') }
  const event = { name: 'event', bytes: Buffer.from('request.refused') }
  expect(findCanaries([name], files).some((found) => found.includes('/postgres/'))).toBe(true)
  expect(findCanaries([name], others)).toContain('limited in GET /keys')
  expect(findCanaries([event], others).some((found) => found.includes('the output of process'))).toBe(true)
  expect(trial.canaries.length).toBeGreaterThan(30)
})

async function storeProviderKeys(trial: CanaryTrial, { baseUrl, noTlsPort }: UnrulyProvider): Promise<void> {
  const add = (name: string, url: string, secret: unknown, provider = 'openai-compatible') =>
    trial.admin('POST', '/provider-keys', { name, provider, baseUrl: url, secret })
  await add('main', baseUrl, trial.give('a provider key'))
  await add('tls', `https://127.0.0.1:${noTlsPort}/v1`, trial.plant('a provider key of a host with bad TLS'))
  await add('gone', 'http://127.0.0.1:9/v1', trial.plant('a provider key of a host that is gone'))
  await add('private', 'http://10.0.0.1/v1', trial.plant('a provider key of a host that is not allowed'))
  await add('damaged', baseUrl, trial.plant('a provider key that is damaged'))
  const refused = [
    await add('main', baseUrl, trial.plant('a provider key of a name that is taken')),
    await add('Bad Name', baseUrl, trial.plant('a provider key of a bad name')),
    await add(
      'url',
      `http://user:${trial.plant('a password in a URL')}@127.0.0.1/v1`,
      trial.plant('its key'),
    ),
    await add('space', baseUrl, `${trial.plant('a provider key with a space')} x`),
    await add('object', baseUrl, { value: trial.plant('a provider key in an object') }),
    await add('provider', baseUrl, trial.plant('a key of an unknown provider'), trial.plant('a provider')),
    await trial.admin('POST', '/provider-keys/nobody/rotate', { secret: trial.plant('a secret of nobody') }),
  ]
  expect(refused.map(({ status }) => status)).not.toContain(201)
  await trial.admin('POST', '/vault/unseal', {
    passphrase: trial.plant('a passphrase that nobody asked for'),
  })

  const add2 = ['provider-keys', 'add', 'cli', '--provider', 'openai', '--base-url', baseUrl]
  expect((await trial.cli(add2, `${trial.give('a provider key from standard input')}\n`)).status).toBe(0)
  expect((await trial.cli(add2, trial.plant('a provider key of the same name'))).status).toBe(1)
  const rotate = ['provider-keys', 'rotate', 'cli', '--json']
  expect((await trial.cli(rotate, trial.give('a rotated provider key'))).status).toBe(0)
}

type Keys = Readonly<
  Record<
    'openai' | 'main' | 'cli' | 'tls' | 'gone' | 'private' | 'damaged' | 'limited' | 'rotated' | 'paused',
    ShownKey
  >
>

async function mintKeys(trial: CanaryTrial): Promise<Keys> {
  const key = (name: string, providerKey: string, more = {}) =>
    trial.show(`the key ${name}`, '/keys', { name, providerKeys: [providerKey], ...more })
  const cli = await key('cli', 'cli')
  const paused = await key('paused', 'main')
  await trial.admin('POST', `/keys/${paused.id}/pause`)
  await trial.admin('POST', '/keys', { name: 'x', providerKeys: [], note: trial.plant('an unknown field') })
  await trial.admin('GET', `/keys/${paused.token}`)
  await trial.cli(['keys', 'show', paused.token])
  return {
    openai: await key('openai', 'openai'),
    main: await key('main', 'main'),
    cli,
    tls: await key('tls', 'tls'),
    gone: await key('gone', 'gone'),
    private: await key('private', 'private'),
    damaged: await key('damaged', 'damaged'),
    limited: await key('limited', 'main', { models: ['m'], allowIps: ['127.0.0.0/8'] }),
    rotated: await trial.show('a rotated key', `/keys/${cli.id}/rotate`, { graceSeconds: 60 }),
    paused,
  }
}

const chat = { model: 'm', stream: true, messages: [] }

async function sendRequests(trial: CanaryTrial, keys: Keys): Promise<void> {
  expect(await trial.call(keys.main.token, '/v1/chat/completions', chat)).toBe(200)
  for (const { token } of [keys.openai, keys.cli, keys.rotated])
    expect(await trial.call(token, '/v1/models')).toBe(200)
  for (const status of [400, 401, 403, 404, 429, 500, 503])
    expect(await trial.call(keys.main.token, `/v1/${status}`, chat)).toBe(status)
  for (const path of ['/v1/hang-up', '/v1/no-http'])
    expect(await trial.call(keys.main.token, path, chat)).toBe(502)
  await trial.call(keys.main.token, '/v1/cut', chat)
  for (const { token } of [keys.tls, keys.gone, keys.private])
    expect(await trial.call(token, '/v1/models')).toBe(502)
  for (const name of ['main', 'tls', 'gone', 'private', 'nobody'])
    await trial.admin('POST', `/provider-keys/${name}/test`)
}

async function sendRefused(
  trial: CanaryTrial,
  { main, limited, paused }: Keys,
  adminToken: string,
): Promise<void> {
  const bad = [
    `${limited.token.slice(0, -1)}_`,
    trial.firstKey,
    adminToken,
    paused.token,
    trial.plant('a foreign key'),
    '',
  ]
  for (const token of bad) expect(await trial.call(token, '/v1/models')).toBe(401)
  expect(await trial.call(main.token, '/v1/models', undefined, { 'x-api-key': limited.token })).toBe(401)
  expect(await trial.call('', '/v1/models', undefined, { authorization: `Basic ${main.token}` })).toBe(401)
  expect(await trial.call('', `/v1/models?api_key=${trial.plant('a key in a query string')}`)).toBe(401)
  expect(await trial.call(main.token, `/v1/models?key=${trial.plant('a query string that is served')}`)).toBe(
    200,
  )
  expect(await trial.call(limited.token, '/v1/batches', chat)).toBe(403)
  expect(await trial.call(limited.token, '/v1/chat/completions', { model: 'other' })).toBe(403)
  const broken = `{"model":"m","api_key":"${trial.plant('a key in broken JSON')}"`
  expect(await trial.call(limited.token, '/v1/chat/completions', broken)).toBe(400)
}

/** Rows edited past the vault, tables that are missing, and a Postgres that dies. */
async function breakThings(trial: CanaryTrial, keys: Keys): Promise<void> {
  const client = new pg.Client({
    host: join(trial.directory, 'run'),
    port: 5432,
    user: 'latchkey',
    database: 'latchkey',
  })
  client.on('error', () => undefined)
  await client.connect()
  await client.query(
    "UPDATE provider_key SET envelope = overlay(envelope placing '\\x00' from 140) WHERE name = 'damaged'",
  )
  await client.query("UPDATE proxy_key SET name = 'renamed' WHERE name = 'private'")
  // A new start of the gateway's caches: it reads what was edited.
  await trial.admin('POST', '/vault/seal', {})
  expect(await trial.call(keys.main.token, '/v1/models')).toBe(503)
  await trial.admin('POST', '/vault/unseal', {})
  expect((await trial.admin('POST', '/vault/verify', {})).text).toContain('damaged')
  expect((await trial.cli(['vault', 'verify'])).status).toBe(1)
  await trial.admin('POST', '/vault/rotate-keyring', {})
  expect(await trial.call(keys.damaged.token, '/v1/models')).toBe(500)
  expect(await trial.call(keys.private.token, '/v1/models')).toBe(401)

  await client.query('ALTER TABLE request RENAME TO request_gone')
  expect(await trial.call(keys.main.token, '/v1/models')).toBe(200)
  await trial.gateway.logged('records.write_refused')
  await client.query('ALTER TABLE proxy_key RENAME TO proxy_key_gone')
  await trial.call(keys.tls.token, '/v1/models')
  await trial.admin('GET', '/keys')
  await trial.admin('POST', '/keys', { name: 'late', providerKeys: ['main'] })
  for (const table of ['request', 'proxy_key'])
    await client.query(`ALTER TABLE ${table}_gone RENAME TO ${table}`)
  await client.end()

  const [postgres = 0] = serversOf(trial.directory)
  process.kill(postgres, 'SIGKILL')
  await trial.call(keys.main.token, '/v1/models')
  await trial.gateway.logged('postgres.started', 2)
}

async function readEverything(trial: CanaryTrial, { limited }: Keys): Promise<void> {
  const lists = [
    '/status',
    '/provider-keys',
    '/provider-keys/main',
    '/keys',
    '/requests',
    '/refusals',
    '/vault',
    '/nothing',
  ]
  for (const path of [...lists, `/keys/${limited.id}`]) await trial.admin('GET', path)
  const commands = [
    ['provider-keys', 'list', '--json'],
    ['provider-keys', 'test', 'main'],
    ['keys', 'list'],
    ['requests', 'tail', '--json', '-n', '100'],
    ['vault', 'status'],
    ['doctor', '--json'],
    ['keys', 'revoke', limited.token, '--json'],
  ]
  for (const args of commands) await trial.cli(args)
  await trial.admin('DELETE', '/provider-keys/tls?revokeKeys=true')
}

/** What other users of the machine can see of our processes, and what those of the database's user got of our environment. */
function lookAtProcesses(trial: CanaryTrial): void {
  const [postgres = 0] = serversOf(trial.directory)
  const children = processesNaming('postgres: ').filter((pid) => parentOf(pid) === postgres)
  expect(children.length).toBeGreaterThan(2)
  const commandLines = [trial.gateway.pid, postgres, ...children].map((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8'),
  )
  trial.keep('command lines', commandLines.join('\n'))
  for (const pid of [postgres, ...children]) {
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
    trial.keep(`environment of ${pid}`, environment)
    expect(environment).not.toMatch(/LATCHKEY|OPENAI/)
  }
}

/** Killed, with its write-ahead log on disk; started with a wrong root key; started again and stopped, all checkpointed. */
async function dieAndStop(trial: CanaryTrial, { main }: Keys): Promise<void> {
  await trial.gateway.kill()
  for (const [path, content] of filesBelow(trial.directory))
    if (!path.endsWith('admin.token')) trial.keep(`${path} after a kill`, content)
  trial.restart({ LATCHKEY_ROOT_KEY: randomBytes(32).toString('base64') })
  await expect(trial.gateway.ready()).rejects.toThrow()
  trial.restart()
  expect(await trial.call(main.token, '/v1/models')).toBe(200)
  expect(await trial.gateway.stop()).toBe(0)
  trial.keep('the last output', trial.gateway.output())
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return 0
  }
}
