import type { StoredPolicy } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import { addGroup, addProviderKey, intrude, mint, vaultOfSuite } from './fixture.ts'

describe('a proxy key whose row was edited past the vault is refused, and argon2 is not asked', () => {
  const fixture = vaultOfSuite()
  const victim = "(select id from proxy_key where name = 'victim')"
  const donor = "(select id from proxy_key where name = 'donor')"
  const column = (name: string) =>
    `update proxy_key set ${name} = (select ${name} from proxy_key where name = 'donor') where name = 'victim'`
  const set = (change: string) => `update proxy_key set ${change} where name = 'victim'`

  const edits: Readonly<Record<string, string>> = {
    'a wider policy': set(`policy = '{"models": null, "endpoints": null, "allowIps": null, "retries": 0}'`),
    'a policy with a field more': set(`policy = policy || '{"admin": true}'`),
    'a policy with a field less': set(`policy = policy - 'allowIps'`),
    'a policy that is none': set(`policy = 'null'`),
    'a policy without its limits': set(`policy = policy - 'limits'`),
    'a higher limit': set(`policy = jsonb_set(policy, '{limits,0,limit}', '1000')`),
    'a policy that lets its output be clamped': set(`policy = policy || '{"fit": "clamp"}'`),
    'a policy that has bodies kept': set(`policy = policy || '{"capture": true}'`),
    'another group': set(`group_id = (select id from proxy_group where name = 'rich')`),
    'no group': set('group_id = null'),
    'its status': set(`status = 'paused'`),
    'its expiry put off': set(`expires_at = expires_at + interval '1 day'`),
    'its expiry taken away': set('expires_at = null'),
    'its expiry at infinity': set(`expires_at = 'infinity'`),
    'its name': set(`name = 'victim2'`),
    'its revision': set('revision = revision + 1'),
    'its organization': set(`organization_id = (select id from organization where name = 'other')`),
    'the fingerprint of another key': column('fingerprint'),
    'the verifier of another key': column('verifier'),
    'the salt of another key': column('verifier_salt'),
    'the MAC of another key': column('row_mac'),
    'a MAC of nothing': set(`row_mac = ''`),
    'a pepper that is not there': set('pepper_version = 2'),
    'a pepper of a negative version': set('pepper_version = -1'),
    'a MAC under a pepper that is not there': set('row_mac_pepper_version = 2'),
    'a second secret': set('previous_fingerprint = fingerprint'),
    'a second verifier': set('previous_verifier = verifier'),
    'a second salt': set('previous_verifier_salt = verifier_salt'),
    'a second pepper': set('previous_pepper_version = 1'),
    'a longer grace': set(`previous_expires_at = 'infinity'`),
    'a binding more': `insert into proxy_key_binding values (${victim}, 2, (select id from provider_key where name = 'c'))`,
    'a binding less': `delete from proxy_key_binding where proxy_key_id = ${victim} and position = 1`,
    'no binding': `delete from proxy_key_binding where proxy_key_id = ${victim}`,
    'another binding': `update proxy_key_binding set provider_key_id = (select id from provider_key where name = 'c')
      where proxy_key_id = ${victim} and position = 0`,
    'another order of bindings': `update proxy_key_binding set position = position - 5 where proxy_key_id = ${victim} and position = 1`,
  }
  for (const [what, edit] of Object.entries(edits))
    test(what, async () => {
      const { vault, database, logged } = fixture()
      await intrude(
        database,
        "insert into organization values (gen_random_uuid(), 'other', now()) on conflict do nothing",
        [],
      )
      for (const name of ['a', 'b', 'c']) await addProviderKey(vault, name)
      await addGroup(vault, 'rich')
      const policy: StoredPolicy = {
        models: ['gpt-5-nano'],
        endpoints: null,
        allowIps: null,
        retries: 0,
        limits: [{ unit: 'requests', per: 'minute', limit: 1 }],
        fit: 'refuse',
        capture: false,
      }
      const { key, token } = await mint(vault, ['a', 'b'], {
        name: 'victim',
        policy,
        group: await addGroup(vault, 'poor'),
        expiresAt: new Date('2099-01-01'),
      })
      const other = await mint(vault, ['a', 'b'], { name: 'donor' })
      expect(await intrude(database, edit, [])).toBeGreaterThan(0)

      const runs = vault.argon2Runs
      expect(await vault.verifier.verify(token)).toEqual({ kind: 'refused', reason: 'tampered' })
      expect(vault.argon2Runs).toBe(runs)
      expect(logged.some((line) => line.includes('proxy_key.tampered') && line.includes(key.id))).toBe(true)
      expect((await vault.verifyAll()).damaged).toMatchObject([{ kind: 'proxy-key', id: key.id }])
      expect((await vault.verifier.verify(other.token)).kind).toBe('verified')
      // Nor does the vault touch it, which would give it a valid MAC.
      const { rows } = await database.pool.query('select organization_id from proxy_key where id = $1', [
        key.id,
      ])
      const organization = rows[0].organization_id
      expect(await vault.proxyKeys.resume(organization, key.id)).toEqual({ kind: 'tampered' })
      expect(await vault.proxyKeys.rotate(organization, key.id)).toEqual({ kind: 'tampered' })
      expect(await vault.verifier.verify(token)).toEqual({ kind: 'refused', reason: 'tampered' })
    })

  test('a group that a key without one was put into', async () => {
    const { vault, database } = fixture()
    await addProviderKey(vault, 'a')
    await addGroup(vault, 'rich')
    const { token } = await mint(vault, ['a'])
    await intrude(database, 'update proxy_key set group_id = (select id from proxy_group)', [])
    expect(await vault.verifier.verify(token)).toEqual({ kind: 'refused', reason: 'tampered' })
  })

  test('limits of its group that can not be read', async () => {
    const { vault, database } = fixture()
    await addProviderKey(vault, 'a')
    const { token } = await mint(vault, ['a'], { group: await addGroup(vault, 'poor') })
    await intrude(database, `update proxy_group set limits = '{"requests": "many"}'`, [])
    expect(await vault.verifier.verify(token)).toEqual({ kind: 'refused', reason: 'tampered' })
  })

  test('a row that somebody made without the vault', async () => {
    const { vault, database } = fixture()
    await addProviderKey(vault, 'a')
    await mint(vault, ['a'], { name: 'donor' })
    const { id, token } = vault.tokens.mint('proxy', (size) => new Uint8Array(size).fill(65))
    await intrude(
      database,
      `insert into proxy_key select $1, organization_id, 'victim', description, tags, policy, status, expires_at,
        fingerprint, verifier, verifier_salt, pepper_version, null, null, null, null, null, row_mac,
        row_mac_pepper_version, revision, created_at, null, null, null from proxy_key where id = ${donor}`,
      [id],
    )
    expect(await vault.verifier.verify(token.reveal())).toEqual({ kind: 'refused', reason: 'tampered' })
  })

  test('but not one of which only words for people were edited', async () => {
    const { vault, database } = fixture()
    await addProviderKey(vault, 'a')
    const { token } = await mint(vault, ['a'])
    await intrude(
      database,
      "update proxy_key set description = 'x', tags = '{y}', email = 'z', last_used_at = now()",
      [],
    )
    expect((await vault.verifier.verify(token)).kind).toBe('verified')
  })
})
