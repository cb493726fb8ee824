import { randomUUID } from 'node:crypto'
import type { BudgetId, OrganizationId, ProviderKeyId } from '@latchkey/shared'
import { openPolicy } from '@latchkey/vault'
import { describe, expect, test } from 'vitest'
import { Principals } from '../../vault/src/principal.ts'
import type { StoredProxyKey } from '../../vault/src/proxy-key-reader.ts'
import {
  type BudgetedProviderKeyRow,
  selectBoundProviderKeys,
  selectWithScopes,
} from '../../vault/src/proxy-key-row.ts'
import { addGroup, addProviderKey, mint, principalOf, providerSecret, vaultOfSuite } from './fixture.ts'

const limits = [{ unit: 'requests', per: 'minute', limit: 60 }] as const

describe('what keys have alike', () => {
  const fixture = vaultOfSuite()

  /** A key of the group `class` with the provider key `main`, as it is read. */
  async function stored(): Promise<StoredProxyKey> {
    const { vault, database } = fixture()
    await addProviderKey(vault, 'main')
    const group = await addGroup(vault, 'class', limits)
    const { key } = await mint(vault, ['main'], { group, policy: { ...openPolicy, limits } })
    const row = await selectWithScopes(database.kysely).where('id', '=', key.id).executeTakeFirstOrThrow()
    const providerKey = await selectBoundProviderKeys(database.kysely).executeTakeFirstOrThrow()
    return { row, providerKeys: new Map([[providerKey.id, providerKey]]) }
  }

  test('they share, and nothing else', async () => {
    const { vault } = fixture()
    await addProviderKey(vault, 'main')
    await addProviderKey(vault, 'other')
    const group = await addGroup(vault, 'class', limits)
    const policy = { ...openPolicy, models: ['gpt-5*'], limits }
    const made = async (name: string, providerKey: string, retries: number) =>
      principalOf(
        vault,
        (await mint(vault, [providerKey], { name, group, policy: { ...policy, retries } })).token,
      )
    const [a, b, c] = [await made('a', 'main', 0), await made('b', 'main', 0), await made('c', 'other', 1)]
    expect([a.keyName, b.keyName, c.keyName]).toEqual(['a', 'b', 'c'])
    expect([a.policy.retries, c.policy.retries]).toEqual([0, 1])
    expect(b.policy).toBe(a.policy)
    expect([a.group?.name, a.group?.limits]).toEqual(['class', limits])
    expect(b.group).toBe(a.group)
    expect(c.group).toBe(a.group)
    expect([a, c].map(({ providerKeys }) => providerKeys.map(({ name }) => name))).toEqual([
      ['main'],
      ['other'],
    ])
    expect(b.providerKeys[0]).toBe(a.providerKeys[0])
  })

  test('they share no longer than it is so in the database', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    const old = await addProviderKey(vault, 'main')
    const group = await addGroup(vault, 'class')
    const tokens = [await mint(vault, ['main'], { group }), await mint(vault, ['main'], { group })]
    const opened = async () => {
      const principals = await Promise.all(tokens.map(({ token }) => principalOf(vault, token)))
      return principals.map(({ group: its, providerKeys: [key] }) => {
        const found = key === undefined ? undefined : vault.openProviderKey(key)
        return [its?.limits, found?.kind === 'opened' ? found.secret.reveal() : found?.kind]
      })
    }
    const before = [[], old.reveal()]
    expect(await opened()).toEqual([before, before])
    const next = providerSecret()
    await vault.providerKeys.rotate(organization, 'main', next)
    await vault.groups.change(organization, group, { limits })
    const after = [limits, next.reveal()]
    expect(await opened()).toEqual([after, after])
  })

  test.each<[string, Partial<BudgetedProviderKeyRow>]>([
    ['id', { id: randomUUID() as ProviderKeyId }],
    ['organization', { organization_id: randomUUID() as OrganizationId }],
    ['name', { name: 'another' }],
    ['provider', { provider: 'simulator' }],
    ['address', { base_url: 'https://elsewhere.example/v1' }],
    ['version', { secret_version: 2 }],
    ['envelope', { envelope: Buffer.from('another') }],
    ['limits', { limits: [...limits] }],
    ['budgets', { budgets: [randomUUID() as BudgetId] }],
  ])('a provider key of another %s is another one', async (_what, change) => {
    const { row, providerKeys } = await stored()
    const principals = new Principals(fixture().vault.deploymentId)
    const withChange = (more: Partial<BudgetedProviderKeyRow>) =>
      principals.of({
        row,
        providerKeys: new Map([...providerKeys].map(([id, key]) => [id, { ...key, ...more }])),
      })?.providerKeys[0]
    const first = withChange({})
    expect(first).toMatchObject({ name: 'main' })
    expect(withChange({ last_used_at: new Date() })).toBe(first)
    const other = withChange(change)
    expect(other).toBeDefined()
    expect(other).not.toBe(first)
    // Nor is a sealed key shared of which anything differs that its seal binds.
    if (!('name' in change || 'limits' in change || 'budgets' in change))
      expect(other?.sealed).not.toBe(first?.sealed)
  })

  test('a policy or a group that differs in anything is another one', async () => {
    const { row, providerKeys } = await stored()
    const principals = new Principals(fixture().vault.deploymentId)
    const first = principals.of({ row, providerKeys })
    const capturing = principals.of({
      row: { ...row, policy: { ...row.policy, capture: true } },
      providerKeys,
    })
    expect([first?.policy.capture, capturing?.policy.capture]).toEqual([false, true])
    const paused = principals.of({
      row: { ...row, group: { ...Object(row.group), status: 'paused' } },
      providerKeys,
    })
    expect([first?.group?.status, paused?.group?.status]).toEqual(['active', 'paused'])
  })

  test('what can’t be read is not remembered as readable', async () => {
    const { row, providerKeys } = await stored()
    const principals = new Principals(fixture().vault.deploymentId)
    const broken = { ...row, group: { name: 'class' } }
    expect(principals.of({ row, providerKeys })).toBeDefined()
    for (let times = 0; times < 2; times++)
      expect(principals.of({ row: broken, providerKeys })).toBeUndefined()
  })
})
