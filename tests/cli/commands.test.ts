import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readAdminToken } from '../../gateway/src/admin/token.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import {
  type GatewayProcess,
  latchkey,
  linesOf,
  spawnLatchkey,
  startGatewayProcess,
} from './latchkey-process.ts'

const secret = 'sk-canary-0123456789-a1B2'
let gateway: GatewayProcess

beforeAll(async () => {
  gateway = await startGatewayProcess()
  await run(['provider-keys', 'add', 'try', '--provider', 'simulator'])
})
afterAll(() => gateway.discard())

function run(args: readonly string[], input?: string) {
  return latchkey(args, gateway.settings, input)
}

/** Runs with `--json` and gives the one document that must be all of standard output. */
async function json(args: readonly string[], input?: string) {
  const ended = await run([...args, '--json'], input)
  expect(ended, ended.stderr).toMatchObject({ status: 0 })
  return JSON.parse(ended.stdout)
}

async function chat(key: string, model = 'gpt-5-nano'): Promise<number> {
  const response = await fetch(`${gateway.dataUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  })
  await response.arrayBuffer()
  return response.status
}

describe('provider keys', () => {
  test('a secret comes from standard input, and is never shown', async () => {
    const added = await json(['provider-keys', 'add', 'openai-main', '--provider', 'openai'], `${secret}\n`)
    expect(added).toMatchObject({ name: 'openai-main', provider: 'openai', maskedTail: 'a1B2' })
    const listed = await run(['provider-keys', 'list'])
    expect(listed.stdout).toMatch(/^name +provider +base url/)
    expect(listed.stdout).toContain('…a1B2')
    expect(listed.stdout + JSON.stringify(added)).not.toContain(secret)
    expect((await json(['provider-keys', 'list'])).map((key: { name: string }) => key.name)).toContain(
      'openai-main',
    )
  })

  test('a secret comes from a file, and rotation takes the next', async () => {
    const file = join(temporaryDirectory(), 'secret')
    writeFileSync(file, `${secret}\n`, { mode: 0o600 })
    const target = ['--provider', 'openai-compatible', '--base-url', 'https://llm.example/v1']
    await json(['provider-keys', 'add', 'other', ...target, '--secret-file', file])
    const rotated = await json(['provider-keys', 'rotate', 'other'], 'sk-canary-9876543210-Z9y8')
    expect(rotated).toMatchObject({ name: 'other', baseUrl: 'https://llm.example/v1', maskedTail: 'Z9y8' })
  })

  test('a secret is not taken from the arguments, nor from an empty input', async () => {
    const extra = await run(['provider-keys', 'add', 'argv', secret, '--provider', 'openai'], secret)
    expect(extra).toMatchObject({ status: 2, stdout: '' })
    const empty = await run(['provider-keys', 'add', 'empty', '--provider', 'openai'], '\n')
    expect(empty).toMatchObject({ status: 2, stdout: '' })
    expect(empty.stderr).toContain('Nothing came on standard input')
  })

  test('a simulator is added without waiting for an input that never ends', async () => {
    const child = spawnLatchkey(
      ['provider-keys', 'add', 'open-input', '--provider', 'simulator'],
      gateway.settings,
    )
    const [status] = await once(child, 'exit')
    expect(status).toBe(0)
  })

  test('a test sends the provider a request and says what became of it', async () => {
    expect(await json(['provider-keys', 'test', 'try'])).toMatchObject({ kind: 'reachable', status: 200 })
  })

  test('removal is refused while keys are bound, until it may revoke them', async () => {
    await json(['provider-keys', 'add', 'short-lived', '--provider', 'simulator'])
    const { id, key } = await json(['keys', 'create', 'bound', '--provider-key', 'short-lived'])
    const refused = await run(['provider-keys', 'remove', 'short-lived'])
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toContain('1 proxy key is bound')
    expect(await json(['provider-keys', 'remove', 'short-lived', '--revoke-keys'])).toEqual({
      name: 'short-lived',
      revokedKeys: [id],
    })
    expect(await chat(key)).toBe(401)
  })
})

describe('keys', () => {
  test('a created key works at once, and its three lines name the gateway', async () => {
    const ended = await run(['keys', 'create', 'three-lines', '--provider-key', 'try'])
    expect(ended.status).toBe(0)
    expect(ended.stdout).toContain(`OPENAI_BASE_URL=${gateway.dataUrl}/v1`)
    const key = /OPENAI_API_KEY=(lk_\S+)/.exec(ended.stdout)?.[1] ?? ''
    expect(await chat(key)).toBe(200)
  })

  test('every option reaches the policy', async () => {
    const created = await json([
      ...['keys', 'create', 'alice', '--provider-key', 'try', '--models', 'gpt-5-nano, gpt-4o*'],
      ...['--endpoints', '/v1/files*', '--expires', '2999-12-06T18:00:00Z', '--allow-ip', '10.0.0.0/8,::1'],
      ...['--retries', '2', '--description', 'for alice', '--tag', 'a', '--tag', 'b'],
    ])
    expect(created).toMatchObject({
      id: expect.stringMatching(/^[0-9A-Za-z]{12}$/),
      key: expect.stringMatching(/^lk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/),
      name: 'alice',
      providerKeys: ['try'],
      models: ['gpt-5-nano', 'gpt-4o*'],
      endpoints: ['/v1/files*'],
      expiresAt: '2999-12-06T18:00:00.000Z',
      allowIps: ['10.0.0.0/8', '::1/128'],
      retries: 2,
      description: 'for alice',
      tags: ['a', 'b'],
    })
    const { key: _key, ...rest } = created
    expect(await json(['keys', 'show', 'alice'])).toEqual(rest)
  })

  test('pause, resume and revoke take hold before the command ends', async () => {
    const { id, key } = await json(['keys', 'create', 'switched', '--provider-key', 'try'])
    expect((await run(['keys', 'pause', id])).status).toBe(0)
    expect(await chat(key)).toBe(401)
    expect((await run(['keys', 'resume', 'switched'])).status).toBe(0)
    expect(await chat(key)).toBe(200)
    expect((await json(['keys', 'revoke', id])).status).toBe('revoked')
    expect(await chat(key)).toBe(401)
  })

  test('a key that is revoked as compromised loses its running requests too, and says so when shown', async () => {
    const { id, key } = await json(['keys', 'create', 'stolen', '--provider-key', 'try'])
    const stream = await fetch(`${gateway.dataUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        ...{ 'x-simulator-pace': '10', 'x-simulator-tokens': '10000' },
      },
      body: JSON.stringify({ model: 'gpt-4o', stream: true, messages: [{ role: 'user', content: 'Hi' }] }),
    })
    const reader = stream.body?.getReader()
    expect((await reader?.read())?.done).toBe(false)
    const drained = (async () => {
      while ((await reader?.read())?.done === false);
    })()
    const broken = expect(drained).rejects.toThrow('terminated')
    expect(await json(['keys', 'revoke', id, '--compromised'])).toMatchObject({
      status: 'revoked',
      compromisedAt: expect.stringMatching(/^20/),
    })
    await broken
    expect((await run(['keys', 'show', id])).stdout).toMatch(/^compromised +20/m)
    const kept = await json(['keys', 'create', 'done-with', '--provider-key', 'try'])
    expect((await json(['keys', 'revoke', kept.id])).compromisedAt).toBeNull()
  })

  test('a whole token that was found somewhere can be revoked, and is not sent anywhere', async () => {
    const { id, key } = await json(['keys', 'create', 'leaked', '--provider-key', 'try'])
    expect(await json(['keys', 'revoke', `${key.slice(0, -49)}${'0'.repeat(49)}`])).toMatchObject({
      id,
      status: 'revoked',
    })
  })

  test('rotation with a grace of 0 ends the old secret', async () => {
    const { key } = await json(['keys', 'create', 'rotated', '--provider-key', 'try'])
    const rotated = await json(['keys', 'rotate', 'rotated', '--grace', '0'])
    expect([await chat(key), await chat(rotated.key)]).toEqual([401, 200])
  })

  test('a name that several keys have is refused with their ids; revoked ones do not count', async () => {
    const first = await json(['keys', 'create', 'twin', '--provider-key', 'try'])
    const second = await json(['keys', 'create', 'twin', '--provider-key', 'try'])
    const refused = await run(['keys', 'pause', 'twin'])
    expect(refused.status).toBe(1)
    expect(refused.stderr).toContain(first.id)
    expect(refused.stderr).toContain(second.id)
    await json(['keys', 'revoke', first.id])
    expect(await json(['keys', 'show', 'twin'])).toMatchObject({ id: second.id })
  })
})

describe('requests tail', () => {
  test('records come newest last, as one JSON array', async () => {
    const { id, key } = await json(['keys', 'create', 'tailed', '--provider-key', 'try'])
    expect(await chat(key, 'gpt-5-nano')).toBe(200)
    expect(await chat(key, 'gpt-4o')).toBe(200)
    // Records are written in batches, so the second may be a moment away: each round is one process.
    let records: { model: string }[] = []
    while (records.length < 2) {
      records = await json(['requests', 'tail', '-n', '20', '--key', 'tailed'])
    }
    expect(records.map((record) => record.model)).toEqual(['gpt-5-nano', 'gpt-4o'])
    expect(records[0]).toMatchObject({
      keyId: id,
      keyName: 'tailed',
      endpoint: '/v1/chat/completions',
      status: 200,
      code: null,
      streamed: false,
      inputTokens: expect.any(Number),
      outputTokens: expect.any(Number),
      durationMs: expect.any(Number),
    })
  })

  test('--follow streams one object a line until Ctrl-C, which is no failure', async () => {
    const { key } = await json(['keys', 'create', 'followed', '--provider-key', 'try'])
    const child = spawnLatchkey(
      ['requests', 'tail', '--follow', '--json', '--key', 'followed'],
      gateway.settings,
    )
    const lines = linesOf(child.stdout)
    for (const model of ['gpt-5-nano', 'gpt-4o']) {
      expect(await chat(key, model)).toBe(200)
      const { value } = await lines.next()
      expect(JSON.parse(value)).toMatchObject({ model, keyName: 'followed' })
    }
    const exited = once(child, 'exit')
    child.kill('SIGINT')
    expect(await exited).toEqual([0, null])
  })

  test('a reader that has seen enough ends it without a failure', async () => {
    const { key } = await json(['keys', 'create', 'piped', '--provider-key', 'try'])
    const child = spawnLatchkey(
      ['requests', 'tail', '--follow', '--json', '--key', 'piped'],
      gateway.settings,
    )
    const exited = once(child, 'exit')
    expect(await chat(key)).toBe(200)
    await linesOf(child.stdout).next()
    child.stdout?.destroy()
    expect(await chat(key)).toBe(200)
    expect(await exited).toEqual([0, null])
  })

  test('what a client sent can not steer the terminal', async () => {
    const { key } = await json(['keys', 'create', 'escapes', '--provider-key', 'try'])
    expect(await chat(key, 'gpt\u001b[2J-5')).toBe(200)
    let text = ''
    while (!text.includes('gpt')) text = (await run(['requests', 'tail', '--key', 'escapes'])).stdout
    expect(text).not.toContain('\u001b')
    expect(text).toContain('gpt\\u{1b}[2J-5')
  })
})

describe('vault', () => {
  test('status, verify, rotate, seal and unseal work on the running vault', async () => {
    expect(await json(['vault', 'status'])).toMatchObject({ sealed: false, rootKeySource: 'file' })
    expect(await json(['vault', 'verify'])).toMatchObject({ damaged: [] })
    expect((await json(['vault', 'rotate', '--keyring', '--purpose', 'secret'])).rotated).toMatchObject([
      { purpose: 'secret', version: 2 },
    ])
    const { rootKeyId } = await json(['vault', 'status'])
    expect((await json(['vault', 'rotate', '--root'])).rootKeyId).not.toBe(rootKeyId)
    const { key } = await json(['keys', 'create', 'sealed-out', '--provider-key', 'try'])
    expect((await run(['vault', 'status'])).stdout).toMatch(/^processes +1 live, 0 sealed$/m)
    expect(await json(['vault', 'seal'])).toMatchObject({ sealed: true })
    expect((await run(['vault', 'status'])).stdout).toMatch(/^processes +1 live, 1 sealed$/m)
    expect(await chat(key)).toBe(503)
    expect(await json(['vault', 'unseal'])).toMatchObject({ sealed: false })
    expect(await chat(key)).toBe(200)
    expect(await json(['vault', 'verify'])).toMatchObject({ damaged: [] })
  })
})

describe('doctor', () => {
  test('finds nothing wrong with a running gateway, and knows it', async () => {
    const ended = await run(['doctor', '--no-network', '--json'])
    const findings = JSON.parse(ended.stdout)
    expect(findings.filter((finding: { outcome: string }) => finding.outcome === 'fail')).toEqual([])
    expect(ended.status).toBe(0)
    const details = Object.fromEntries(
      findings.map((f: { check: string; detail: string }) => [f.check, f.detail]),
    )
    expect(details).toMatchObject({
      lock: `held by the running gateway, process ${gateway.pid}`,
      gateway: expect.stringContaining(gateway.dataUrl),
      database: expect.stringMatching(/^PostgreSQL 18/),
    })
  })

  test('fails with 1 where the root key can be read by others, and says what to do', async () => {
    const file = join(gateway.dataDirectory, 'root.key')
    chmodSync(file, 0o644)
    const ended = await run(['doctor', '--no-network'])
    chmodSync(file, 0o600)
    expect(ended.status).toBe(1)
    expect(ended.stdout).toContain(`chmod 600 ${file}`)
  })
})

describe('another gateway', () => {
  test('is the one that LATCHKEY_URL and LATCHKEY_TOKEN name, whatever the data directory', async () => {
    const token = readAdminToken(gateway.dataDirectory)?.reveal() ?? ''
    const elsewhere = { LATCHKEY_DATA_DIR: '/nowhere', LATCHKEY_URL: gateway.adminUrl }
    expect(await latchkey(['keys', 'list'], { ...elsewhere, LATCHKEY_TOKEN: token })).toMatchObject({
      status: 0,
    })
    expect(await latchkey(['keys', 'list'], { ...elsewhere, LATCHKEY_TOKEN: `${token}x` })).toMatchObject({
      status: 77,
    })
    expect(await latchkey(['keys', 'list'], elsewhere)).toMatchObject({ status: 78 })
  })
})
