import { openPolicy, type Principal, type Vault } from '@latchkey/vault'
import { describe, expect, test } from 'vitest'
import { addGroup, addProviderKey, providerSecret as anySecret, mint, vaultOfSuite } from './fixture.ts'

const limits = [{ unit: 'requests', per: 'minute', limit: 60 }] as const

async function principalOf(vault: Vault, token: string): Promise<Principal> {
  const verification = await vault.verifier.verify(token)
  if (verification.kind !== 'verified') throw new Error(verification.kind)
  return verification.principal
}

describe('what keys have alike', () => {
  const fixture = vaultOfSuite()

  test('they share, and nothing else', async () => {
    const { vault } = fixture()
    await addProviderKey(vault, 'main')
    await addProviderKey(vault, 'other')
    const group = await addGroup(vault, 'class', limits)
    const policy = { ...openPolicy, models: ['gpt-5*'], limits }
    const principals: Principal[] = []
    for (const [name, providerKey, changed] of [
      ['a', 'main', {}],
      ['b', 'main', {}],
      ['c', 'other', { retries: 1 }],
    ] as const) {
      const options = { name, group, policy: { ...policy, ...changed } }
      principals.push(await principalOf(vault, (await mint(vault, [providerKey], options)).token))
    }
    const [a, b, c] = principals
    expect([a?.keyName, b?.keyName, c?.keyName]).toEqual(['a', 'b', 'c'])
    expect(b?.policy).toBe(a?.policy)
    expect(b?.group).toBe(a?.group)
    expect(b?.providerKeys[0]).toBe(a?.providerKeys[0])
    expect(c?.group).toBe(a?.group)
    expect(c?.policy).toMatchObject({ models: ['gpt-5*'], retries: 1 })
    expect(a?.policy).toMatchObject({ models: ['gpt-5*'], retries: 0 })
    expect(c?.providerKeys.map(({ name }) => name)).toEqual(['other'])
  })

  test('they share no longer than it is so in the database', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    const old = await addProviderKey(vault, 'main')
    const group = await addGroup(vault, 'class')
    const tokens = [await mint(vault, ['main'], { group }), await mint(vault, ['main'], { group })]
    const opened = async () => {
      const principals = await Promise.all(tokens.map(({ token }) => principalOf(vault, token)))
      return principals.map(({ group: its, providerKeys }) => {
        const [key] = providerKeys
        const found = key === undefined ? undefined : vault.openProviderKey(key)
        return [its?.limits, found?.kind === 'opened' ? found.secret.reveal() : found?.kind]
      })
    }
    expect(await opened()).toEqual([
      [[], old.reveal()],
      [[], old.reveal()],
    ])
    const next = anySecret()
    await vault.providerKeys.rotate(organization, 'main', next)
    await vault.groups.change(organization, group, { limits })
    expect(await opened()).toEqual([
      [limits, next.reveal()],
      [limits, next.reveal()],
    ])
  })
})
