import type { ProxyKeyId } from '@latchkey/shared'
import { type AlongsideKeys, type NewProxyKey, openPolicy } from '@latchkey/vault'
import { expect, test } from 'vitest'
import { addGroup, addProviderKey, vaultOfSuite } from './fixture.ts'

const fixture = vaultOfSuite()

function newKeys(count: number, more: Partial<NewProxyKey> = {}): readonly NewProxyKey[] {
  return Array.from({ length: count }, (_each, index) => ({
    name: `k${index}`,
    description: '',
    tags: [],
    policy: openPolicy,
    expiresAt: null,
    providerKeys: ['main'],
    ...more,
  }))
}

test('many keys are made in their order, and each of them works', async () => {
  const { vault } = fixture()
  await addProviderKey(vault, 'main')
  const group = await addGroup(vault, 'hack')
  const seen: ProxyKeyId[] = []
  const created = await vault.proxyKeys.createMany(
    vault.defaultOrganizationId,
    newKeys(20, { group, email: 'a@example.org' }),
    async (_trx, ids) => void seen.push(...ids),
  )
  if (created.kind !== 'created') throw new Error(created.kind)
  expect(created.keys.map(({ key }) => key.name)).toEqual(newKeys(20).map(({ name }) => name))
  expect(created.keys.map(({ key }) => key.id)).toEqual(seen)
  for (const { key, token } of created.keys)
    expect(await vault.verifier.verify(token.reveal())).toMatchObject({
      kind: 'verified',
      principal: { keyId: key.id, group: { id: group, name: 'hack' } },
    })
  expect((await vault.verifyAll()).damaged).toEqual([])
})

test('one that can not be made leaves none made', async () => {
  const { vault } = fixture()
  const organization = vault.defaultOrganizationId
  await addProviderKey(vault, 'main')
  const bad = (more: Partial<NewProxyKey>) => [...newKeys(2), ...newKeys(1, more)]
  const createMany = (keys: readonly NewProxyKey[], alongside?: AlongsideKeys) =>
    vault.proxyKeys.createMany(organization, keys, alongside)
  expect(await createMany(bad({ providerKeys: ['none'] }))).toEqual({
    kind: 'provider-key-not-found',
    name: 'none',
  })
  expect(await createMany(bad({ group: '01890000-0000-7000-8000-000000000001' as never }))).toEqual({
    kind: 'group-not-found',
  })
  await expect(createMany(bad({ email: 'nobody' }))).rejects.toMatchObject({ param: 'keys[2].email' })
  await expect(createMany(newKeys(3), () => Promise.reject(new Error('no budget')))).rejects.toThrow(
    'no budget',
  )
  const page = await vault.proxyKeys.list({ organizationId: organization, limit: 10, after: null })
  expect(page.keys).toEqual([])
})

test('a token is verified while many keys are made, without waiting for them all', async () => {
  const { vault } = fixture()
  const organization = vault.defaultOrganizationId
  await addProviderKey(vault, 'main')
  const first = await vault.proxyKeys.createMany(organization, newKeys(1))
  if (first.kind !== 'created') throw new Error(first.kind)
  const [minted] = first.keys
  let making = true
  const many = vault.proxyKeys.createMany(organization, newKeys(100)).finally(() => {
    making = false
  })
  // Cold: it needs argon2 itself.
  expect((await vault.verifier.verify(minted?.token.reveal() ?? '')).kind).toBe('verified')
  expect(making).toBe(true)
  expect((await many).kind).toBe('created')
})
