import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Secret, systemRandom } from '@latchkey/shared'
import type { Vault } from '@latchkey/vault'
import { describe, expect, test } from 'vitest'
import {
  addProviderKey,
  intrude,
  mint,
  principalOf,
  providerSecret,
  type TestVault,
  testVault,
} from './fixture.ts'

/** Some provider keys with a proxy key each; `check` proves that every one of them works in a new process. */
async function filled(fixture: TestVault, count = 3) {
  const { vault } = fixture
  const entries: { readonly secret: string; readonly token: string }[] = []
  for (let index = 0; index < count; index++) {
    const secret = await addProviderKey(vault, `key-${index}`)
    const { token } = await mint(vault, [`key-${index}`])
    entries.push({ secret: secret.reveal(), token })
  }
  return {
    entries,
    async check(opened: Vault): Promise<void> {
      for (const { secret, token } of entries) {
        const [bound] = (await principalOf(opened, token)).providerKeys
        if (bound === undefined) throw new Error('not bound')
        const key = opened.openProviderKey(bound)
        expect(key.kind === 'opened' && key.secret.reveal()).toBe(secret)
      }
      expect((await opened.verifyAll()).damaged).toEqual([])
    },
  }
}

async function rootKeyIds({ database }: TestVault): Promise<readonly string[]> {
  const { rows } = await database.pool.query<{ root_key_id: string }>(
    'select distinct root_key_id from ring_key_wrap',
  )
  return rows.map((row) => row.root_key_id)
}

describe('rotation of the root key', () => {
  test('re-wraps the keyring, touches no secret, and leaves the old key worthless', async () => {
    const fixture = await testVault()
    const { vault, database, rootKeyPath, open } = fixture
    const { check } = await filled(fixture)
    const old = readFileSync(rootKeyPath)
    const before = (await database.pool.query('select * from provider_key order by id')).rows
    const was = vault.status().rootKeyId
    const { rootKeyId } = await vault.rotateRoot()
    expect(rootKeyId).not.toBe(was)
    expect(await rootKeyIds(fixture)).toEqual([rootKeyId])
    expect(vault.status().rootKeyId).toBe(rootKeyId)
    expect((await database.pool.query('select * from provider_key order by id')).rows).toEqual(before)
    expect(existsSync(`${rootKeyPath}.next`)).toBe(false)
    await check(vault)
    await check(await open())
    await vault.seal()
    await vault.unseal()
    await check(vault)
    writeFileSync(rootKeyPath, old)
    await expect(open()).rejects.toMatchObject({ code: 'root_key_wrong' })
  })

  test('that died before its commit is undone by the next start', async () => {
    const fixture = await testVault()
    const { check } = await filled(fixture)
    const { rootKeyPath, open } = fixture
    writeFileSync(`${rootKeyPath}.next`, Buffer.from(systemRandom(32)).toString('base64'), { mode: 0o600 })
    const opened = await open()
    expect(existsSync(`${rootKeyPath}.next`)).toBe(false)
    await check(opened)
    await opened.rotateRoot()
    await check(await open())
  })

  test('that died after its commit is finished by the next start', async () => {
    const fixture = await testVault()
    const { check } = await filled(fixture)
    const { vault, rootKeyPath, database, open } = fixture
    // What a kill between the commit and the renaming leaves: both wraps, and both files.
    const old = readFileSync(rootKeyPath)
    const wraps = (await database.pool.query('select * from ring_key_wrap')).rows
    const { rootKeyId } = await vault.rotateRoot()
    writeFileSync(`${rootKeyPath}.next`, readFileSync(rootKeyPath), { mode: 0o600 })
    writeFileSync(rootKeyPath, old)
    for (const wrap of wraps)
      await intrude(database, 'insert into ring_key_wrap values ($1, $2, $3, $4, $5)', [
        wrap.purpose,
        wrap.version,
        wrap.root_key_id,
        wrap.envelope,
        wrap.created_at,
      ])
    expect(await rootKeyIds(fixture)).toHaveLength(2)
    await check(await open())
    expect(existsSync(`${rootKeyPath}.next`)).toBe(false)
    expect(await rootKeyIds(fixture)).toEqual([rootKeyId])
    expect(readFileSync(rootKeyPath)).not.toEqual(old)
  })

  test('to a passphrase lets both open the vault until no live process needs the old one any more', async () => {
    const fixture = await testVault({ peerPatienceMs: 5000 })
    const { check } = await filled(fixture)
    const { vault, open, rootKeyPath } = fixture
    const target = { kind: 'passphrase', passphrase: new Secret('a passphrase of some length') } as const
    const { rootKeyId } = await vault.rotateRoot(target)
    const late = await open({ rootKey: { kind: 'file', path: rootKeyPath } })
    await check(late)
    expect(await rootKeyIds(fixture)).toHaveLength(2)
    await check(await open({ rootKey: target }))
    expect(await rootKeyIds(fixture)).toHaveLength(2)
    await late.close()
    await check(await open({ rootKey: target }))
    expect(await rootKeyIds(fixture)).toEqual([rootKeyId])
    await expect(open()).rejects.toMatchObject({ code: 'root_key_wrong' })
  })

  test('is refused where the new root key is not said, or is the old one', async () => {
    const value = new Secret(Buffer.from(systemRandom(32)).toString('base64'))
    const { vault } = await testVault({ rootKey: { kind: 'value', value } })
    await expect(vault.rotateRoot()).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(vault.rotateRoot({ kind: 'value', value })).rejects.toMatchObject({
      code: 'root_key_invalid',
    })
  })
})

describe('rotation of the keyring', () => {
  test('moves every stored row to the new keys, and everything goes on working', async () => {
    const fixture = await testVault()
    const { vault, database, open } = fixture
    const { check, entries } = await filled(fixture, 5)
    const rotated = await vault.rotateKeyring()
    expect(rotated).toEqual([
      { purpose: 'secret', version: 2, rows: 5 },
      { purpose: 'pepper', version: 2, rows: 5 },
      { purpose: 'audit', version: 2, rows: 0 },
      { purpose: 'webhook', version: 2, rows: 0 },
      { purpose: 'session', version: 2, rows: 0 },
    ])
    const sealed = await database.pool.query(
      "select distinct encode(substring(envelope from 5 for 4), 'hex') as version from provider_key",
    )
    expect(sealed.rows).toEqual([{ version: '00000002' }])
    const macs = await database.pool.query(
      'select distinct row_mac_pepper_version as version, pepper_version from proxy_key',
    )
    expect(macs.rows).toEqual([{ version: 2, pepper_version: 1 }])
    await check(vault)
    await check(await open())
    // A key that gets a new secret leaves the old pepper.
    const { keys } = await vault.proxyKeys.list({
      organizationId: vault.defaultOrganizationId,
      limit: 1,
      after: null,
    })
    for (const key of keys) await vault.proxyKeys.rotate(vault.defaultOrganizationId, key.id, { graceMs: 0 })
    const peppers = await database.pool.query('select pepper_version from proxy_key order by 1')
    expect(peppers.rows.map((row) => row.pepper_version)).toEqual([1, 1, 1, 1, 2])
    expect(entries).toHaveLength(5)
  })

  test('goes through more rows than one batch, while others write them', async () => {
    const fixture = await testVault()
    const { vault, open } = fixture
    const names = Array.from({ length: 230 }, (_, index) => `key-${index}`)
    for (const name of names) await addProviderKey(vault, name)
    const latest = new Map<string, string>()
    const other = await open()
    const rotating = vault.rotateKeyring(['secret'])
    for (const name of names.filter((_, index) => index % 10 === 0)) {
      const secret = providerSecret(name)
      await other.providerKeys.rotate(vault.defaultOrganizationId, name, secret)
      latest.set(name, secret.reveal())
    }
    await rotating
    const opened = await open()
    expect((await opened.verifyAll()).damaged).toEqual([])
    for (const [name, secret] of latest) {
      const { token } = await mint(opened, [name])
      const verification = await opened.verifier.verify(token)
      const bound = verification.kind === 'verified' ? verification.principal.providerKeys[0] : undefined
      const key = bound && opened.openProviderKey(bound)
      expect(key?.kind === 'opened' && key.secret.reveal()).toBe(secret)
    }
  })

  test('leaves damaged and edited rows as they are, and says so', async () => {
    const fixture = await testVault()
    const { vault, database, logged } = fixture
    await filled(fixture)
    await intrude(database, "update provider_key set provider = 'x' where name = 'key-0'", [])
    await intrude(
      database,
      'update proxy_key set expires_at = now() where id = (select min(id) from proxy_key)',
      [],
    )
    const before = await vault.verifyAll()
    expect(before.damaged).toHaveLength(2)
    expect(await vault.rotateKeyring(['secret', 'pepper'])).toMatchObject([{ rows: 2 }, { rows: 2 }])
    expect((await vault.verifyAll()).damaged).toEqual(before.damaged)
    expect(logged.join()).toContain('provider_key.damaged')
    expect(logged.join()).toContain('proxy_key.tampered')
  })

  test('that was interrupted goes on at the next start', async () => {
    const fixture = await testVault()
    const { vault, database, open } = fixture
    const { check } = await filled(fixture)
    const oldRows = (await database.pool.query('select * from provider_key order by id limit 2')).rows
    await vault.rotateKeyring(['secret'])
    for (const row of oldRows)
      await intrude(database, 'update provider_key set envelope = $1 where id = $2', [row.envelope, row.id])
    const opened = await open()
    await check(opened)
    const { rows } = await database.pool.query(
      "select count(*) as left from provider_key where substring(envelope from 5 for 4) <> '\\x00000002'",
    )
    expect(rows).toEqual([{ left: 0n }])
    // A key that was made and never became active does so now.
    await intrude(
      database,
      "update ring_key set state = 'pending' where purpose = 'secret' and version = 2",
      [],
    )
    await intrude(
      database,
      "update ring_key set state = 'active' where purpose = 'secret' and version = 1",
      [],
    )
    const again = await open()
    expect(again.status().keyring.filter((key) => key.purpose === 'secret')).toEqual([
      { purpose: 'secret', version: 1, state: 'retired' },
      { purpose: 'secret', version: 2, state: 'active' },
    ])
    await check(again)
  })
})
