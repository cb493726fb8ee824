import { randomUUID } from 'node:crypto'
import {
  type BudgetId,
  createLog,
  type GroupId,
  nanoUsd,
  type ScopeKind,
  type StoredLimit,
} from '@latchkey/shared'
import { postgresListener } from '@latchkey/shared/database'
import type { Vault } from '@latchkey/vault'
import { sql } from 'kysely'
import { describe, expect, test, vi } from 'vitest'
import { createBudget } from '../../gateway/src/budget/create-budget.ts'
import type { TestDatabase } from '../support/database.ts'
import { addGroup, addProviderKey, intrude, mint, principalOf, testVault, vaultOfSuite } from './fixture.ts'

const perMinute = (limit: number): StoredLimit => ({ unit: 'requests', per: 'minute', limit })

describe('a group', () => {
  const fixture = vaultOfSuite()

  test('is found by its id and by its name, and shows how many keys it has', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    const id = await addGroup(vault, 'Research & Development', [perMinute(60)])
    const { key } = await mint(vault, ['main'], { group: id })
    await mint(vault, ['main'], { group: id })
    await vault.proxyKeys.revoke(organization, key.id)
    for (const which of [id, 'Research & Development'])
      expect(await vault.groups.show(organization, which)).toMatchObject({
        kind: 'found',
        group: { id, name: 'Research & Development', status: 'active', limits: [perMinute(60)], keys: 1 },
      })
    expect(await vault.groups.show(organization, 'nobody')).toEqual({ kind: 'not-found' })
    expect(await vault.groups.show(organization, randomUUID())).toEqual({ kind: 'not-found' })
  })

  test('has a name of its own, at its creation and later', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    await addGroup(vault, 'a')
    const b = await addGroup(vault, 'b')
    expect(
      await vault.groups.create({ organizationId: organization, name: 'a', description: '', limits: [] }),
    ).toEqual({ kind: 'name-taken' })
    expect(await vault.groups.change(organization, b, { name: 'a' })).toEqual({ kind: 'name-taken' })
    for (const name of ['', ' a', 'a\u0007', randomUUID(), randomUUID().toUpperCase()])
      await expect(vault.groups.change(organization, b, { name })).rejects.toMatchObject({ param: 'name' })
    await expect(
      vault.groups.change(organization, b, { limits: [perMinute(1), perMinute(2)] }),
    ).rejects.toMatchObject({ param: 'limits' })
    expect(await vault.groups.show(organization, 'b')).toMatchObject({ group: { id: b, revision: 1 } })
  })

  test('changes what is named and nothing else, once per revision', async () => {
    const { vault } = fixture()
    const organization = vault.defaultOrganizationId
    const id = await addGroup(vault, 'a', [perMinute(60)])
    expect(await vault.groups.change(organization, id, { description: 'x', revision: 1 })).toMatchObject({
      kind: 'changed',
      group: { name: 'a', description: 'x', limits: [perMinute(60)], revision: 2 },
    })
    expect(await vault.groups.change(organization, id, { limits: [], revision: 1 })).toEqual({
      kind: 'conflict',
    })
    expect(await vault.groups.change(organization, randomUUID() as GroupId, {})).toEqual({
      kind: 'not-found',
    })
    expect(await vault.groups.change(organization, id, { limits: [] })).toMatchObject({
      group: { limits: [], description: 'x' },
    })
  })

  test('that could not be made with what belongs to it is not made', async () => {
    const { vault } = fixture()
    const organizationId = vault.defaultOrganizationId
    const failing = vault.groups.create({
      organizationId,
      name: 'a',
      description: '',
      limits: [],
      alongside: () => Promise.reject(new Error('no budget')),
    })
    await expect(failing).rejects.toThrow('no budget')
    // Nor is it said that its name is taken, where something else is there already.
    const clashing = vault.groups.create({
      organizationId,
      name: 'a',
      description: '',
      limits: [],
      alongside: async (trx) => {
        await sql`insert into organization select * from organization`.execute(trx)
      },
    })
    await expect(clashing).rejects.toMatchObject({ code: '23505' })
    expect(await vault.groups.show(organizationId, 'a')).toEqual({ kind: 'not-found' })
  })

  test('is listed by name, page by page', async () => {
    const { vault } = fixture()
    const organizationId = vault.defaultOrganizationId
    for (const name of ['c', 'a', 'b']) await addGroup(vault, name)
    const first = await vault.groups.list({ organizationId, limit: 2 })
    expect(first.groups.map((group) => group.name)).toEqual(['a', 'b'])
    expect(first.more).toBe(true)
    const second = await vault.groups.list({ organizationId, limit: 2, after: 'b' })
    expect(second).toMatchObject({ groups: [{ name: 'c' }], more: false })
  })

  test('is not seen or changed from another organization, nor can a key of one be put into it', async () => {
    const { vault, database } = fixture()
    await addProviderKey(vault, 'main')
    const id = await addGroup(vault, 'a')
    const { rows } = await database.pool.query(
      'insert into organization values (gen_random_uuid(), gen_random_uuid()::text, now()) returning id',
    )
    const other = rows[0].id
    expect(await vault.groups.show(other, id)).toEqual({ kind: 'not-found' })
    expect(await vault.groups.pause(other, id)).toEqual({ kind: 'not-found' })
    expect(await vault.groups.revokeAll(other, id)).toEqual({ kind: 'not-found' })
    await intrude(database, 'update proxy_group set organization_id = $1', [other])
    const { key } = await mint(vault, ['main'])
    expect(await vault.proxyKeys.change(vault.defaultOrganizationId, key.id, { group: id })).toEqual({
      kind: 'group-not-found',
    })
  })
})

describe('the principal of a key', () => {
  const fixture = vaultOfSuite()

  async function addBudget(database: TestDatabase, vault: Vault, scopeKind: ScopeKind, scopeId: string) {
    const id = randomUUID() as BudgetId
    await createBudget(database.pool, {
      id,
      organizationId: vault.defaultOrganizationId,
      scopeKind,
      scopeId,
      period: 'total',
      limit: nanoUsd(1n),
      thresholds: [],
      createdAt: new Date(),
    })
    return id
  }

  test('holds its group, and every budget that pays for it, and no other', async () => {
    const { vault, database } = fixture()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    await addProviderKey(vault, 'spare')
    const group = await addGroup(vault, 'ours', [perMinute(60)])
    const theirs = await addGroup(vault, 'theirs')
    const { key, token } = await mint(vault, ['main', 'spare'], { group })
    const other = await mint(vault, ['main'], { group: theirs })
    const { rows } = await database.pool.query("select id from provider_key where name = 'main'")
    const ours = [
      await addBudget(database, vault, 'key', key.id),
      await addBudget(database, vault, 'group', group),
      await addBudget(database, vault, 'organization', organization),
    ]
    const ofMain = await addBudget(database, vault, 'provider_key', rows[0].id)
    const ofTheirs = await addBudget(database, vault, 'group', theirs)
    await database.pool.query("update budget set status = 'paused' where id = $1", [ours[1]])

    const principal = await principalOf(vault, token)
    expect(principal.group).toEqual({
      id: group,
      name: 'ours',
      status: 'active',
      limits: [perMinute(60)],
      capture: false,
    })
    expect(principal.budgets).toEqual(ours.toSorted())
    expect(principal.providerKeys.map((each) => [each.name, each.budgets])).toEqual([
      ['main', [ofMain]],
      ['spare', []],
    ])
    expect((await principalOf(vault, other.token)).budgets).toEqual([ours[2], ofTheirs].toSorted())
    for (const part of [principal.budgets, principal.group, principal.group?.limits, principal.policy.limits])
      expect(Object.isFrozen(part)).toBe(true)
    await database.pool.query('delete from budget')
  })

  test('is what it was after the pepper was rotated', async () => {
    const { vault } = fixture()
    await addProviderKey(vault, 'main')
    const group = await addGroup(vault, 'ours')
    const { token } = await mint(vault, ['main'], { group })
    await vault.rotateKeyring(['pepper'])
    expect((await principalOf(vault, token)).group).toMatchObject({ id: group })
    expect((await vault.verifyAll()).damaged).toEqual([])
  })

  test('changes with its group at once, here and by NOTIFY elsewhere', async () => {
    const { vault, database, open } = await testVault()
    const organization = vault.defaultOrganizationId
    await addProviderKey(vault, 'main')
    const group = await addGroup(vault, 'ours')
    const { token } = await mint(vault, ['main'], { group })
    const other = await open({ listener: postgresListener(database.connection, createLog('silent')) })
    const steps = [
      [() => vault.groups.pause(organization, group), { status: 'paused', name: 'ours', limits: [] }],
      [() => vault.groups.resume(organization, group), { status: 'active' }],
      [
        () => vault.groups.change(organization, group, { limits: [perMinute(9)] }),
        { limits: [perMinute(9)] },
      ],
      [() => vault.groups.change(organization, group, { name: 'renamed' }), { name: 'renamed' }],
    ] as const
    for (const [change, expected] of steps) {
      await principalOf(vault, token)
      await principalOf(other, token)
      await change()
      expect((await principalOf(vault, token)).group).toMatchObject(expected)
      await vi.waitFor(async () => expect((await principalOf(other, token)).group).toMatchObject(expected), {
        interval: 5,
        timeout: 10_000,
      })
    }
  })
})
