import type { ProxyKeyId, StoredPolicy } from '@latchkey/shared'
import { openPolicy, type ProxyKey, type ProxyKeyPage, type Vault } from '@latchkey/vault'
import { describe, expect, test } from 'vitest'
import { SteppingClock } from '../support/stepping-clock.ts'
import { addProviderKey, mint, testVault } from './fixture.ts'

const day = 24 * 60 * 60 * 1000

async function statusOf(vault: Vault, token: string): Promise<string> {
  const verification = await vault.verifier.verify(token)
  if (verification.kind === 'verified') return verification.principal.status
  return verification.kind === 'refused' ? verification.reason : verification.kind
}

describe('a proxy key', () => {
  test('leads to what it was made with', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'first')
    await addProviderKey(vault, 'second')
    const policy: StoredPolicy = {
      models: ['gpt-5*'],
      endpoints: null,
      allowIps: ['10.0.0.0/8'],
      retries: 2,
      limits: [{ unit: 'tokens', per: 'hour', limit: 100 }],
      fit: 'clamp',
      capture: true,
    }
    const expiresAt = new Date('2099-01-01T00:00:00Z')
    const { key, token } = await mint(vault, ['second', 'first'], { name: 'alice', policy, expiresAt })
    expect(key).toMatchObject({
      name: 'alice',
      providerKeys: ['second', 'first'],
      policy,
      expiresAt,
      revision: 1,
    })
    const verification = await vault.verifier.verify(token)
    expect(verification).toMatchObject({
      kind: 'verified',
      principal: {
        keyId: key.id,
        keyName: 'alice',
        organizationId: vault.defaultOrganizationId,
        status: 'active',
        expiresAt: expiresAt.getTime(),
        policy,
        providerKeys: [{ name: 'second' }, { name: 'first' }],
      },
    })
    if (verification.kind !== 'verified') return
    expect(
      Object.isFrozen(verification.principal) && Object.isFrozen(verification.principal.providerKeys),
    ).toBe(true)
  })

  test('is not made for a provider key that is not there, or without one', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'main')
    const ask = {
      organizationId: vault.defaultOrganizationId,
      name: 'a',
      description: '',
      tags: [],
      policy: openPolicy,
      expiresAt: null,
    }
    const missing = await vault.proxyKeys.create({ ...ask, providerKeys: ['main', 'none'] })
    expect(missing).toEqual({ kind: 'provider-key-not-found', name: 'none' })
    for (const providerKeys of [[], ['main', 'main']])
      await expect(vault.proxyKeys.create({ ...ask, providerKeys })).rejects.toMatchObject({
        param: 'providerKeys',
      })
    for (const name of ['', ' a', 'a\u0007b', '\u202Ea'])
      await expect(vault.proxyKeys.create({ ...ask, name, providerKeys: ['main'] })).rejects.toMatchObject({
        param: 'name',
      })
    const page = await vault.proxyKeys.list({ organizationId: ask.organizationId, limit: 10, after: null })
    expect(page).toEqual({ keys: [], more: false })
  })

  test('is paused and resumed as often as one likes, and revoked once and for all', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const { proxyKeys, defaultOrganizationId: organization } = vault
    for (const status of ['paused', 'active', 'paused', 'active'] as const) {
      const changed = await (status === 'paused'
        ? proxyKeys.pause(organization, key.id)
        : proxyKeys.resume(organization, key.id))
      expect(changed).toMatchObject({ kind: 'changed', key: { status } })
      expect(await statusOf(vault, token)).toBe(status)
    }
    expect(await proxyKeys.revoke(organization, key.id)).toMatchObject({
      kind: 'changed',
      key: { status: 'revoked' },
    })
    expect(await statusOf(vault, token)).toBe('revoked')
    expect(await proxyKeys.revoke(organization, key.id)).toMatchObject({
      kind: 'changed',
      key: { status: 'revoked' },
    })
    expect(await proxyKeys.resume(organization, key.id)).toEqual({ kind: 'revoked' })
    expect(await proxyKeys.pause(organization, key.id)).toEqual({ kind: 'revoked' })
    expect(await proxyKeys.rotate(organization, key.id)).toEqual({ kind: 'revoked' })
  })

  test('is not seen from another organization, or under an id that is none', async () => {
    const { vault, database } = await testVault()
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    const { rows } = await database.pool.query(
      "insert into organization values (gen_random_uuid(), 'other', now()) returning id",
    )
    const other = rows[0].id
    expect(await vault.proxyKeys.revoke(other, key.id)).toEqual({ kind: 'not-found' })
    expect(await vault.proxyKeys.show(other, key.id)).toEqual({ kind: 'not-found' })
    expect(await vault.proxyKeys.rotate(other, key.id)).toEqual({ kind: 'not-found' })
    const unknown = 'AAAAAAAAAAAA' as ProxyKeyId
    expect(await vault.proxyKeys.pause(vault.defaultOrganizationId, unknown)).toEqual({ kind: 'not-found' })
  })
})

describe('rotation of a proxy key', () => {
  test('lets the old secret live for the grace, and not a millisecond longer', async () => {
    const clock = new SteppingClock()
    const { vault } = await testVault({ clock })
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const rotated = await vault.proxyKeys.rotate(vault.defaultOrganizationId, key.id)
    if (rotated.kind !== 'rotated') throw new Error(rotated.kind)
    expect(rotated.key.previousExpiresAt?.getTime()).toBe(clock.now() + day)
    const next = rotated.token.reveal()
    expect(next).not.toBe(token)
    expect(await statusOf(vault, next)).toBe('active')
    expect(await statusOf(vault, token)).toBe('active')
    clock.step(day - 1)
    await vault.changes.poll()
    expect(await statusOf(vault, token)).toBe('active')
    expect(vault.verifier.lookup(token)?.kind).toBe('verified')
    clock.step(1)
    await vault.changes.poll()
    expect(await statusOf(vault, token)).toBe('unknown')
    expect(await statusOf(vault, next)).toBe('active')
  })

  test('ends the old secret at once with no grace', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    expect(await statusOf(vault, token)).toBe('active')
    await vault.proxyKeys.rotate(vault.defaultOrganizationId, key.id, { graceMs: 0 })
    expect(await statusOf(vault, token)).toBe('unknown')
  })

  test('leaves two live secrets at the most', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const tokens = [token]
    for (let count = 0; count < 3; count++) {
      const rotated = await vault.proxyKeys.rotate(vault.defaultOrganizationId, key.id)
      if (rotated.kind !== 'rotated') throw new Error(rotated.kind)
      tokens.push(rotated.token.reveal())
    }
    expect(await Promise.all(tokens.map((each) => statusOf(vault, each)))).toEqual([
      'unknown',
      'unknown',
      'active',
      'active',
    ])
  })

  test('of one revision happens once, however often and wherever it is asked for', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    const other = await open()
    const results = await Promise.all(
      [vault, other, vault, other].map((each) =>
        each.proxyKeys.rotate(vault.defaultOrganizationId, key.id, { revision: key.revision }),
      ),
    )
    expect(results.map((result) => result.kind).toSorted()).toEqual([
      'conflict',
      'conflict',
      'conflict',
      'rotated',
    ])
  })

  test('keeps the verifier of the secret that is shown', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    const rotated = await vault.proxyKeys.rotate(vault.defaultOrganizationId, key.id)
    if (rotated.kind !== 'rotated') throw new Error(rotated.kind)
    expect(await statusOf(await open(), rotated.token.reveal())).toBe('active')
  })
})

describe('the list of proxy keys', () => {
  test('gives every key once, newest first, page by page', async () => {
    const clock = new SteppingClock()
    const { vault } = await testVault({ clock })
    await addProviderKey(vault, 'main')
    const minted: string[] = []
    for (let count = 0; count < 7; count++) {
      // Some of them in the same millisecond.
      if (count % 3 === 0) clock.step(1)
      minted.push((await mint(vault, ['main'], { name: `k${count % 2}` })).key.id)
    }
    const listed: string[] = []
    let after: ProxyKey | null = null
    do {
      const page: ProxyKeyPage = await vault.proxyKeys.list({
        organizationId: vault.defaultOrganizationId,
        limit: 2,
        after,
      })
      expect(page.keys.length).toBeLessThanOrEqual(2)
      listed.push(...page.keys.map((key) => key.id))
      after = page.more ? (page.keys.at(-1) ?? null) : null
    } while (after !== null)
    expect(listed).toHaveLength(7)
    expect(new Set(listed)).toEqual(new Set(minted))
    expect(listed[0]).toBe(minted[6])
    const named = { organizationId: vault.defaultOrganizationId, limit: 10, after: null, name: 'k1' }
    expect((await vault.proxyKeys.list(named)).keys).toHaveLength(3)
  })
})
