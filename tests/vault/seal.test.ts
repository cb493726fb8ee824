import { Secret } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import { addProviderKey, mint, principalOf, providerSecret, testVault } from './fixture.ts'

describe('a sealed vault', () => {
  test('opens nothing, verifies nothing, mints nothing, and says that it is sealed', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const [bound] = (await principalOf(vault, token)).providerKeys
    if (bound === undefined) throw new Error('not bound')
    expect(vault.openProviderKey(bound).kind).toBe('opened')

    await vault.seal()
    expect(vault.sealed).toBe(true)
    expect(vault.openProviderKey(bound)).toEqual({ kind: 'sealed' })
    expect(vault.verifier.lookup(token)).toEqual({ kind: 'sealed' })
    expect(await vault.verifier.verify(token)).toEqual({ kind: 'sealed' })
    expect(vault.status()).toMatchObject({ sealed: true, rootKeyId: null, keyring: [] })
    const organization = vault.defaultOrganizationId
    const sealed = { code: 'vault_sealed' }
    await expect(addProviderKey(vault, 'second')).rejects.toMatchObject(sealed)
    await expect(mint(vault, ['main'])).rejects.toMatchObject(sealed)
    await expect(vault.proxyKeys.revoke(organization, key.id)).rejects.toMatchObject(sealed)
    await expect(vault.providerKeys.rotate(organization, 'main', providerSecret())).rejects.toMatchObject(
      sealed,
    )
    await expect(vault.verifyAll()).rejects.toMatchObject(sealed)
    await expect(vault.rotateKeyring()).rejects.toMatchObject(sealed)
    await expect(vault.rotateRoot()).rejects.toMatchObject(sealed)
    // What needs no key still works: people must be able to look.
    expect((await vault.proxyKeys.show(organization, key.id)).kind).toBe('found')
    expect(await vault.providerKeys.list(organization)).toHaveLength(1)

    await vault.unseal()
    expect(vault.openProviderKey(bound).kind).toBe('opened')
    expect(await vault.verifier.verify(token)).toMatchObject({ principal: { status: 'active' } })
    expect(vault.status()).toMatchObject({ sealed: false, rootKeySource: 'file' })
  })

  test('that is sealed while tokens wait for argon2 lets none of them in', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const minted = await Promise.all(Array.from({ length: 10 }, () => mint(vault, ['main'])))
    const fresh = await open({ argon2: { concurrency: 1, queue: 50 } })
    const verifying = minted.map(({ token }) => fresh.verifier.verify(token))
    while (fresh.argon2Runs === 0) await new Promise((resolve) => setImmediate(resolve))
    await fresh.seal()
    const kinds = (await Promise.all(verifying)).map((verification) => verification.kind)
    // The one that argon2 was busy with had been let in before.
    expect(kinds.filter((kind) => kind !== 'sealed').length).toBeLessThanOrEqual(1)
    expect(minted.map(({ token }) => fresh.verifier.lookup(token)?.kind)).toEqual(minted.map(() => 'sealed'))
  })

  test('is unsealed by its passphrase and by no other', async () => {
    const passphrase = new Secret('correct horse battery staple')
    const { vault } = await testVault({ rootKey: { kind: 'passphrase', passphrase } })
    await addProviderKey(vault, 'main')
    await vault.seal()
    const wrong = vault.unseal(new Secret('correct horse battery'))
    await expect(wrong).rejects.toMatchObject({ code: 'root_key_wrong' })
    expect(vault.sealed).toBe(true)
    await vault.unseal(passphrase)
    expect((await vault.verifyAll()).damaged).toEqual([])
    expect(vault.status().rootKeySource).toBe('passphrase')
  })
})
