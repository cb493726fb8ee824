import { openPolicy, type Vault } from '@latchkey/vault'
import { describe, expect, test } from 'vitest'
import { addGroup, addProviderKey, intrude, mint, vaultOfSuite } from './fixture.ts'

const fixture = vaultOfSuite()

async function served(vault: Vault, token: string): Promise<string> {
  const verification = await vault.verifier.verify(token)
  return verification.kind === 'verified' ? verification.principal.status : verification.kind
}

describe('a change of a proxy key', () => {
  test('sets what is named and leaves the rest, and is in force when it returns', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    await addProviderKey(vault, 'spare')
    const group = await addGroup(vault, 'ours')
    const { key, token } = await mint(vault, ['main'], {
      policy: { ...openPolicy, models: ['a*'], retries: 3 },
    })
    await vault.verifier.verify(token)
    const expiresAt = new Date('2099-01-01T00:00:00Z')
    const changed = await vault.proxyKeys.change(organization, key.id, {
      name: 'bob',
      email: 'bob@example.org',
      description: 'd',
      tags: ['t'],
      group,
      policy: { limits: [{ unit: 'concurrency', limit: 2 }], fit: 'clamp' },
      expiresAt,
      providerKeys: ['spare', 'main'],
    })
    const policy = {
      ...openPolicy,
      models: ['a*'],
      retries: 3,
      limits: [{ unit: 'concurrency', limit: 2 }],
      fit: 'clamp',
    }
    expect(changed).toMatchObject({
      kind: 'changed',
      key: {
        name: 'bob',
        email: 'bob@example.org',
        description: 'd',
        tags: ['t'],
        group: { id: group, name: 'ours', status: 'active' },
        policy,
        expiresAt,
        providerKeys: ['spare', 'main'],
        revision: 2,
      },
    })
    expect(await vault.verifier.verify(token)).toMatchObject({
      principal: {
        keyName: 'bob',
        group: { id: group },
        policy,
        expiresAt: expiresAt.getTime(),
        providerKeys: [{ name: 'spare' }, { name: 'main' }],
      },
    })
    const back = { group: null, email: null, expiresAt: null }
    expect(await vault.proxyKeys.change(organization, key.id, back)).toMatchObject({
      key: { ...back, name: 'bob', policy, providerKeys: ['spare', 'main'] },
    })
    expect(await served(vault, token)).toBe('active')
    expect((await vault.verifyAll()).damaged).toEqual([])
  })

  test('is refused where the key, its revision, a group or a provider key is not what was said', async () => {
    const { vault, database } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    const change = (input: Parameters<Vault['proxyKeys']['change']>[2]) =>
      vault.proxyKeys.change(organization, key.id, input)
    expect(await change({ name: 'x', revision: 7 })).toEqual({ kind: 'conflict' })
    expect(await change({ providerKeys: ['main', 'none'] })).toEqual({
      kind: 'provider-key-not-found',
      name: 'none',
    })
    for (const [input, param] of [
      [{ name: '' }, 'name'],
      [{ email: 'nobody' }, 'email'],
      [{ providerKeys: [] }, 'providerKeys'],
      [{ policy: { retries: 99 } }, 'retries'],
    ] as const)
      await expect(change(input)).rejects.toMatchObject({ code: 'invalid_request', param })
    expect(await vault.proxyKeys.show(organization, key.id)).toMatchObject({ key: { revision: 1 } })
    await intrude(database, "update proxy_key set name = 'edited'", [])
    expect(await change({ name: 'x' })).toEqual({ kind: 'tampered' })
  })

  test('of a revoked key is refused', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    await vault.proxyKeys.revoke(organization, key.id)
    expect(await vault.proxyKeys.change(organization, key.id, { expiresAt: null })).toEqual({
      kind: 'revoked',
    })
  })

  test('is all or nothing with what is changed alongside, which tells every process by itself', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    const failing = vault.proxyKeys.change(organization, key.id, {
      name: 'x',
      alongside: () => Promise.reject(new Error('no budget')),
    })
    await expect(failing).rejects.toThrow('no budget')
    expect(await vault.proxyKeys.show(organization, key.id)).toMatchObject({ key: { name: 'alice' } })
    const before = vault.changes.generation
    await vault.proxyKeys.change(organization, key.id, { alongside: async () => {} })
    expect(vault.changes.generation).not.toBe(before)
  })

  test('that binds to another provider key does not block its removal, nor the other way round', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    for (let round = 0; round < 10; round++) {
      await addProviderKey(vault, 'short-lived')
      const { key } = await mint(vault, ['main', 'short-lived'])
      const [changed, removed] = await Promise.all([
        vault.proxyKeys.change(organization, key.id, { providerKeys: ['short-lived'] }),
        vault.providerKeys.remove(organization, 'short-lived', { revokeKeys: true }),
      ])
      expect(['changed', 'revoked', 'provider-key-not-found']).toContain(changed.kind)
      expect(removed).toMatchObject({ kind: 'removed', revoked: [key.id] })
    }
    expect((await vault.verifyAll()).damaged).toEqual([])
  })
})

describe('revoking all keys', () => {
  test('of a group ends every key of it, and none of another', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    const group = await addGroup(vault, 'ours')
    const inside = [await mint(vault, ['main'], { group }), await mint(vault, ['main'], { group })]
    const outside = [
      await mint(vault, ['main']),
      await mint(vault, ['main'], { group: await addGroup(vault, 'b') }),
    ]
    for (const { token } of [...inside, ...outside]) expect(await served(vault, token)).toBe('active')
    expect(await vault.groups.revokeAll(organization, group)).toEqual({ kind: 'revoked', keys: 2 })
    for (const { token } of inside) expect(await served(vault, token)).toBe('revoked')
    for (const { token } of outside) expect(await served(vault, token)).toBe('active')
    expect(await vault.groups.revokeAll(organization, group)).toEqual({ kind: 'revoked', keys: 0 })
    expect((await vault.verifyAll()).damaged).toEqual([])
  })

  test('of the organization ends every key, a paused or edited one too, however many there are', async () => {
    const { vault, database } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    const one = await mint(vault, ['main'])
    const paused = await mint(vault, ['main'])
    await vault.proxyKeys.pause(organization, paused.key.id)
    // More than a batch; their MACs are wrong, as all of them were copied past the vault.
    await intrude(
      database,
      `insert into proxy_key (id, organization_id, name, description, tags, policy, status, fingerprint, verifier,
         verifier_salt, pepper_version, row_mac, row_mac_pepper_version, revision, created_at)
       select lpad(n::text, 12, '0'), organization_id, name, description, tags, policy, status, fingerprint, verifier,
         verifier_salt, pepper_version, row_mac, row_mac_pepper_version, revision, created_at
       from proxy_key, generate_series(1, 1200) as n where id = $1`,
      [one.key.id],
    )
    expect(await vault.proxyKeys.revokeAll(organization)).toBe(1202)
    expect(await served(vault, one.token)).toBe('revoked')
    expect(await served(vault, paused.token)).toBe('revoked')
    const { rows } = await database.pool.query(
      'select count(*)::int as live from proxy_key where status <> $1',
      ['revoked'],
    )
    expect(rows).toEqual([{ live: 0 }])
    // The copies stay refused as what they are.
    expect((await vault.verifyAll()).damaged).toHaveLength(1200)
    expect(await vault.proxyKeys.revokeAll(organization)).toBe(0)
  })
})
