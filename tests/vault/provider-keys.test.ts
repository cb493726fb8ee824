import { Secret } from '@latchkey/shared'
import type { BoundProviderKey, Vault } from '@latchkey/vault'
import { describe, expect, test } from 'vitest'
import {
  addProviderKey,
  intrude,
  mint,
  principalOf,
  providerSecret,
  type TestVault,
  testVault,
  vaultOfSuite,
} from './fixture.ts'

/** The provider keys that a token leads to, read anew by a process that has nothing cached. */
async function boundKeys({ open }: TestVault, token: string): Promise<readonly BoundProviderKey[]> {
  return (await principalOf(await open(), token)).providerKeys
}

function openOne(vault: Vault, key: BoundProviderKey | undefined): string {
  if (key === undefined) throw new Error('not bound')
  const opened = vault.openProviderKey(key)
  return opened.kind === 'opened' ? opened.secret.reveal() : opened.kind
}

describe('a stored secret', () => {
  const suite = vaultOfSuite()
  test('opens for the proxy keys that are bound to it, and is nowhere in the database or the log', async () => {
    const fixture = suite()
    const { vault, database, logged } = fixture
    const secret = await addProviderKey(vault, 'openai-main')
    const { token } = await mint(vault, ['openai-main'])
    const [bound] = await boundKeys(fixture, token)
    expect(bound).toMatchObject({
      name: 'openai-main',
      provider: 'openai',
      baseUrl: 'https://api.openai.com/v1',
    })
    expect(openOne(vault, bound)).toBe(secret.reveal())

    for (const table of ['provider_key', 'proxy_key', 'ring_key_wrap', 'deployment']) {
      const { rows } = await database.pool.query<{ text: string }>(`select t::text as text from ${table} t`)
      const stored = rows.map(
        (row) => row.text + Buffer.from(row.text.replace(/\\x/g, ''), 'hex').toString('latin1'),
      )
      expect(stored.join()).not.toContain(secret.reveal())
      expect(stored.join()).not.toContain(token)
    }
    expect(logged.join()).not.toContain('sk-')
    expect(logged.join()).not.toContain(token)
  })

  test('shows its last four characters, but none if it is short', async () => {
    const { vault } = suite()
    await addProviderKey(vault, 'long', { secret: new Secret('sk-0123456789abcd') })
    await addProviderKey(vault, 'just', { secret: new Secret('0123456789abcdef') })
    await addProviderKey(vault, 'short', { secret: new Secret('0123456789abcde') })
    const keys = await vault.providerKeys.list(vault.defaultOrganizationId)
    expect(keys.map((key) => [key.name, key.maskedTail])).toEqual([
      ['just', 'cdef'],
      ['long', 'abcd'],
      ['short', null],
    ])
  })

  test('loses the newline that echo put at its end, and nothing else', async () => {
    const fixture = suite()
    await addProviderKey(fixture.vault, 'a', { secret: new Secret('sk-with-a-newline\n') })
    const { token } = await mint(fixture.vault, ['a'])
    expect(openOne(fixture.vault, (await boundKeys(fixture, token))[0])).toBe('sk-with-a-newline')
  })

  for (const [what, secret] of [
    ['nothing', ''],
    ['a newline only', '\n'],
    ['a space', 'sk-1 2'],
    ['a leading space', ' sk-12'],
    ['two newlines', 'sk-12\n\n'],
    ['a control character', 'sk-\u0007'],
    ['a carriage return inside', 'sk-1\r2'],
    ['what is not ASCII', 'sk-é'],
    ['too much', 'x'.repeat(4097)],
  ] as const)
    test(`is refused if it holds ${what}, without a word of it`, async () => {
      const { vault } = suite()
      const refused = addProviderKey(vault, 'a', { secret: new Secret(secret) })
      await expect(refused).rejects.toMatchObject({ code: 'invalid_request', param: 'secret' })
    })
})

describe('a provider key', () => {
  test('has a name that is unique and fit for a path', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'A.b_c-1')
    const again = await vault.providerKeys.add({
      organizationId: vault.defaultOrganizationId,
      name: 'A.b_c-1',
      provider: 'openai',
      baseUrl: 'https://api.openai.com/v1',
      secret: providerSecret(),
    })
    expect(again).toEqual({ kind: 'name-taken' })
    for (const name of ['', '.a', '-a', '_a', 'a b', 'a/b', 'ä', 'a\n', 'a'.repeat(65)])
      await expect(addProviderKey(vault, name)).rejects.toMatchObject({
        code: 'invalid_request',
        param: 'name',
      })
  })

  test('has one spelling of its base URL', async () => {
    const { vault } = await testVault()
    const spellings = [
      ['https://API.OpenAI.com:443/v1/', 'https://api.openai.com/v1'],
      ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
      ['https://host/a/../v1//', 'https://host/v1'],
    ] as const
    for (const [index, [baseUrl, canonical]] of spellings.entries()) {
      await addProviderKey(vault, `k${index}`, { baseUrl })
      const found = await vault.providerKeys.get(vault.defaultOrganizationId, `k${index}`)
      expect(found).toMatchObject({ kind: 'found', key: { baseUrl: canonical } })
    }
    for (const baseUrl of [
      '',
      'api.openai.com',
      'ftp://host',
      'https://u@host',
      'https://u:p@host',
      'https://h?a',
      'https://h#a',
      'file:///etc',
      'https://h/ a',
    ])
      await expect(addProviderKey(vault, 'bad', { baseUrl })).rejects.toMatchObject({ param: 'baseUrl' })
  })

  test('gets a new secret without any change to the proxy keys that use it', async () => {
    const fixture = await testVault()
    const { vault, database } = fixture
    const before = await addProviderKey(vault, 'main')
    const { token } = await mint(vault, ['main'])
    const rows = () => database.pool.query('select * from proxy_key, proxy_key_binding')
    const stored = await rows()
    const warm = await vault.verifier.verify(token)
    const after = providerSecret('second')
    const rotated = await vault.providerKeys.rotate(vault.defaultOrganizationId, 'main', after)
    expect(rotated).toMatchObject({
      kind: 'rotated',
      key: { name: 'main', maskedTail: after.reveal().slice(-4) },
    })
    expect((await rows()).rows).toEqual(stored.rows)
    expect(openOne(vault, (await boundKeys(fixture, token))[0])).toBe(after.reveal())
    // In this process the next request has it, and one that was under way may finish with the old one.
    const now = await vault.verifier.verify(token)
    expect(now.kind === 'verified' && openOne(vault, now.principal.providerKeys[0])).toBe(after.reveal())
    expect(warm.kind === 'verified' && openOne(vault, warm.principal.providerKeys[0])).toBe(before.reveal())
    expect(await vault.providerKeys.rotate(vault.defaultOrganizationId, 'none', after)).toEqual({
      kind: 'not-found',
    })
  })

  test('is not removed while proxy keys use it, unless they are to be revoked', async () => {
    const { vault } = await testVault()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    await addProviderKey(vault, 'spare')
    const active = await mint(vault, ['main', 'spare'])
    const paused = await mint(vault, ['spare', 'main'])
    const other = await mint(vault, ['spare'])
    await vault.proxyKeys.pause(organization, paused.key.id)
    const refused = await vault.providerKeys.remove(organization, 'main', { revokeKeys: false })
    expect(refused).toEqual({ kind: 'in-use', boundKeys: 2 })
    expect((await vault.verifier.verify(active.token)).kind).toBe('verified')

    const removed = await vault.providerKeys.remove(organization, 'main', { revokeKeys: true })
    expect(removed.kind === 'removed' && new Set(removed.revoked)).toEqual(
      new Set([active.key.id, paused.key.id]),
    )
    for (const { token } of [active, paused])
      expect(await vault.verifier.verify(token)).toMatchObject({
        kind: 'verified',
        principal: { status: 'revoked' },
      })
    expect(await vault.verifier.verify(other.token)).toMatchObject({ principal: { status: 'active' } })
    expect((await vault.verifyAll()).damaged).toEqual([])
    expect(await vault.providerKeys.remove(organization, 'main', { revokeKeys: true })).toEqual({
      kind: 'not-found',
    })
  })

  test('is removed though revoked proxy keys had used it', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    await vault.proxyKeys.revoke(vault.defaultOrganizationId, key.id)
    const removed = await vault.providerKeys.remove(vault.defaultOrganizationId, 'main', {
      revokeKeys: false,
    })
    expect(removed).toEqual({ kind: 'removed', revoked: [] })
    expect((await vault.verifyAll()).damaged).toEqual([])
  })

  test('that is removed takes no valid MAC to a proxy key that somebody edited', async () => {
    const { vault, database } = await testVault()
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    await intrude(database, "update proxy_key set policy = '{}' where id = $1", [key.id])
    await vault.providerKeys.remove(vault.defaultOrganizationId, 'main', { revokeKeys: true })
    expect((await vault.verifyAll()).damaged).toMatchObject([{ kind: 'proxy-key', id: key.id }])
  })
})

describe('what is sealed stays in its place', () => {
  const suite = vaultOfSuite()
  const edits: readonly (readonly [string, string])[] = [
    ['organization_id', 'organization_id = (select id from organization where name <> $1)'],
    ['provider', "provider = 'openai-compatible'"],
    ['the host', "base_url = 'https://evil.example/v1'"],
    ['the port', "base_url = 'https://api.openai.com:8443/v1'"],
    ['the scheme', "base_url = 'http://api.openai.com/v1'"],
    ['the path', "base_url = 'https://api.openai.com/v1/redirect'"],
    ['the spelling of the base URL', "base_url = 'https://API.openai.com/v1'"],
    ['a base URL that is none', "base_url = ''"],
    ['secret_version', 'secret_version = secret_version + 1'],
    ['the last byte of the envelope', 'envelope = set_byte(envelope, length(envelope) - 1, 0)'],
    ['an envelope of nothing', "envelope = ''"],
  ]
  for (const [what, edit] of edits)
    test(`an edit of ${what} makes it unusable, and only it`, async () => {
      const fixture = suite()
      const { vault, database } = fixture
      await intrude(
        database,
        "insert into organization values (gen_random_uuid(), 'other', now()) on conflict do nothing",
        [],
      )
      const secret = await addProviderKey(vault, 'main', { secret: new Secret('sk-the-secret-in-question') })
      const other = await addProviderKey(vault, 'other')
      const { token } = await mint(vault, ['main', 'other'])
      const values = edit.includes('$1') ? ['default'] : []
      expect(await intrude(database, `update provider_key set ${edit} where name = 'main'`, values)).toBe(1)
      const [main, second] = await boundKeys(fixture, token)
      expect(openOne(vault, main)).toBe('damaged')
      expect(openOne(vault, second)).toBe(other.reveal())
      const report = await vault.verifyAll()
      expect(report).toMatchObject({ providerKeys: 2, damaged: [{ kind: 'provider-key', name: 'main' }] })
      expect(secret.reveal()).toContain('question')
    })

  test('any two rows whose envelopes are swapped are both unusable', async () => {
    const fixture = suite()
    const { vault, database } = fixture
    await addProviderKey(vault, 'a')
    await addProviderKey(vault, 'b')
    const { token } = await mint(vault, ['a', 'b'])
    const swap = `update provider_key set envelope = other.envelope from provider_key other
      where provider_key.id <> other.id`
    expect(await intrude(database, swap, [])).toBe(2)
    for (const key of await boundKeys(fixture, token)) expect(openOne(vault, key)).toBe('damaged')
  })

  test('an id that moves to another row does not take its secret along', async () => {
    const fixture = suite()
    const { vault, database } = fixture
    await addProviderKey(vault, 'a')
    await intrude(
      database,
      `insert into provider_key select gen_random_uuid(), organization_id, 'copy', provider, base_url, envelope,
        secret_version, revision, masked_tail, created_at, null, null from provider_key`,
      [],
    )
    const { token } = await mint(vault, ['copy', 'a'])
    expect((await boundKeys(fixture, token)).map((key) => openOne(vault, key) === 'damaged')).toEqual([
      true,
      false,
    ])
  })

  test('an envelope that was replaced by an older one of the same row does not open', async () => {
    const fixture = suite()
    const { vault, database } = fixture
    await addProviderKey(vault, 'a')
    const { rows } = await database.pool.query<{ envelope: Buffer }>('select envelope from provider_key')
    await vault.providerKeys.rotate(vault.defaultOrganizationId, 'a', providerSecret())
    await intrude(database, 'update provider_key set envelope = $1', [rows[0]?.envelope])
    const { token } = await mint(vault, ['a'])
    expect(openOne(vault, (await boundKeys(fixture, token))[0])).toBe('damaged')
  })
})
