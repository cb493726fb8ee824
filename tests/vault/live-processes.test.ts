import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Secret, systemRandom } from '@latchkey/shared'
import { connectDatabase, postgresListener } from '@latchkey/shared/database'
import type { Vault, VaultOptions } from '@latchkey/vault'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startTestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { severableSocket } from '../support/severable-socket.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { addProviderKey, mint, type TestVault, testVault, testVaultOn } from './fixture.ts'

/** Vaults of three processes that hear of each other at once; the first only by its poll where it is said to be deaf. */
async function three(options: Partial<VaultOptions> = {}, firstIsDeaf = false) {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const listener = postgresListener(database.connection, recordLog())
  const ears = firstIsDeaf ? {} : { listener }
  const fixture = await testVaultOn(database, { peerPatienceMs: 5000, ...ears, ...options })
  const others = [await fixture.open({ listener }), await fixture.open({ listener })] as const
  return { fixture, one: fixture.vault, others, all: [fixture.vault, ...others] }
}

async function answer(vault: Vault, token: string): Promise<string> {
  const verification = await vault.verifier.verify(token)
  if (verification.kind !== 'verified') return verification.kind
  const [bound] = verification.principal.providerKeys
  return bound === undefined ? 'unbound' : vault.openProviderKey(bound).kind
}

function versions({ database }: TestVault) {
  return database.pool.query<{ purpose: string; version: number; state: string }>(
    'select purpose, version, state from ring_key order by 1, 2',
  )
}

describe('a rotation of the keyring', () => {
  test('refuses no request at any live process, and leaves nothing under the old keys', async () => {
    const { fixture, one, others, all } = await three()
    await addProviderKey(one, 'main')
    const tokens = await Promise.all(Array.from({ length: 5 }, async () => (await mint(one, ['main'])).token))
    const answers = new Map<string, number>()
    let rotating = true
    const serve = async (vault: Vault) => {
      while (rotating) {
        for (const token of tokens) {
          const kind = await answer(vault, token)
          answers.set(kind, (answers.get(kind) ?? 0) + 1)
        }
        // A warm token is verified without I/O, and would let nothing else happen.
        await nextTurn()
      }
    }
    const serving = all.map(serve)
    await one.rotateKeyring()
    await others[0].rotateKeyring()
    rotating = false
    await Promise.all(serving)
    expect([...answers.keys()]).toEqual(['opened'])
    for (const vault of all) {
      expect((await vault.verifyAll()).damaged).toEqual([])
      expect(vault.status().keyring.filter(({ state }) => state === 'active')).toHaveLength(5)
    }
    const { rows } = await fixture.database.pool.query(
      `select distinct row_mac_pepper_version as pepper, encode(substring(envelope from 5 for 4), 'hex') as secret
      from proxy_key, provider_key`,
    )
    expect(rows).toEqual([{ pepper: 3, secret: '00000003' }])
  })

  test('makes a key active only once every live process has it', async () => {
    const { fixture, one, others } = await three()
    const states: string[] = []
    const [other] = others
    const watching = setInterval(() => {
      const known = other.status().keyring.find((key) => key.purpose === 'secret' && key.version === 2)
      const active = one.status().keyring.find((key) => key.purpose === 'secret' && key.version === 2)
      if (active?.state === 'active') states.push(known?.state ?? 'missing')
    }, 1)
    await one.rotateKeyring(['secret'])
    clearInterval(watching)
    expect(states).not.toContain('missing')
    expect((await versions(fixture)).rows.filter(({ purpose }) => purpose === 'secret')).toEqual([
      { purpose: 'secret', version: 1, state: 'retired' },
      { purpose: 'secret', version: 2, state: 'active' },
    ])
  })

  test('reaches a process that was told nothing when it reads the first row under the new keys', async () => {
    // It hears nothing, and is not waited for: as one that was suspended meanwhile.
    const fixture = await testVault()
    const { vault } = fixture
    await addProviderKey(vault, 'main')
    const { token } = await mint(vault, ['main'])
    const deaf = await fixture.open()
    expect(await answer(deaf, token)).toBe('opened')
    await vault.rotateKeyring()
    const { token: later } = await mint(vault, ['main'])
    expect(await answer(deaf, later)).toBe('opened')
    await deaf.changes.poll()
    expect(await answer(deaf, token)).toBe('opened')
  })

  test('whose process has died in the middle is finished by another', async () => {
    const { fixture, one, others } = await three()
    for (let count = 0; count < 5; count++) await addProviderKey(one, `key-${count}`)
    const { pool } = fixture.database
    const before = (await pool.query('select id, envelope from provider_key order by id limit 3')).rows
    await one.rotateKeyring(['secret'])
    // What kill -9 leaves: rows under the old key, a key that is still pending, and the name of who did it.
    for (const row of before)
      await pool.query('update provider_key set envelope = $1 where id = $2', [row.envelope, row.id])
    await pool.query("update ring_key set state = 'pending' where purpose = 'secret' and version = 2")
    await pool.query("update ring_key set state = 'active' where purpose = 'secret' and version = 1")
    await pool.query(
      'update deployment set rotating_process_id = gen_random_uuid(), keyring_revision = keyring_revision + 1',
    )
    // Any change, and each report of a living process, leads there.
    await others[0].groups.create({
      ...{ organizationId: one.defaultOrganizationId, name: 'new', description: '', limits: [] },
    })
    await addProviderKey(others[1], 'later')
    await vi.waitFor(
      async () => {
        const { rows } = await pool.query(
          `select (select rotating_process_id from deployment) as rotating,
            (select version from ring_key where purpose = 'secret' and state = 'active') as active,
            (select count(distinct substring(envelope from 5 for 4)) from provider_key) as versions`,
        )
        expect(rows).toEqual([{ rotating: null, active: 2, versions: 1n }])
      },
      { timeout: 15_000, interval: 50 },
    )
    expect((await others[1].verifyAll()).damaged).toEqual([])
  })

  test('does not begin to seal while a live process can not open the keyring', async () => {
    const value = () => new Secret(Buffer.from(systemRandom(32)).toString('base64'))
    const first = { kind: 'value', value: value() } as const
    const { fixture, one, others } = await three({ rootKey: first })
    const path = join(temporaryDirectory(), 'root.key')
    // The third has its root key in a file, which somebody has replaced since.
    writeFileSync(path, first.value.reveal(), { mode: 0o600 })
    const listener = postgresListener(fixture.database.connection, recordLog())
    const fourth = await fixture.open({ rootKey: { kind: 'file', path }, listener })
    writeFileSync(path, value().reveal(), { mode: 0o600 })
    await expect(one.rotateKeyring(['secret'])).rejects.toMatchObject({ code: 'conflict' })
    expect(others[0].status().keyring).toContainEqual({ purpose: 'secret', version: 1, state: 'active' })
    await vi.waitFor(
      async () => expect(await one.processes()).toEqual({ live: 4, sealed: 0, lockedOut: 1 }),
      10_000,
    )
    // It goes on with what it has, and with it gone the rotation goes on.
    await addProviderKey(one, 'main')
    expect(await answer(fourth, (await mint(one, ['main'])).token)).toBe('opened')
    await fourth.close()
    await one.rotateKeyring(['secret'])
    expect((await one.verifyAll()).damaged).toEqual([])
  })
})

describe('a seal', () => {
  test('seals every process at once, and unseals every process, each by its own root key', async () => {
    const { one, others, all } = await three({}, true)
    await addProviderKey(one, 'main')
    const { token } = await mint(one, ['main'])
    for (const vault of all) expect(await answer(vault, token)).toBe('opened')
    const began = performance.now()
    await one.seal()
    expect(await answer(one, token)).toBe('sealed')
    await vi.waitFor(
      async () =>
        expect(await Promise.all(all.map((vault) => answer(vault, token)))).toEqual(all.map(() => 'sealed')),
      { interval: 5, timeout: 10_000 },
    )
    expect(performance.now() - began).toBeLessThan(2000)
    await vi.waitFor(
      async () => expect(await one.processes()).toEqual({ live: 3, sealed: 3, lockedOut: 0 }),
      10_000,
    )
    await others[1].unseal()
    // The first hears nothing: its poll tells it.
    await vi.waitFor(
      async () =>
        expect(await Promise.all(all.map((vault) => answer(vault, token)))).toEqual(all.map(() => 'opened')),
      10_000,
    )
    await vi.waitFor(
      async () => expect(await one.processes()).toEqual({ live: 3, sealed: 0, lockedOut: 0 }),
      10_000,
    )
  })

  test('holds for a process that starts while it lasts', async () => {
    const { fixture, one } = await three()
    await addProviderKey(one, 'main')
    const { token } = await mint(one, ['main'])
    await one.seal()
    const started = await fixture.open()
    expect(started.sealed).toBe(true)
    expect(await answer(started, token)).toBe('sealed')
    await started.unseal()
    expect(await answer(started, token)).toBe('opened')
  })

  test('where the database is away seals the process that is asked at once, and the others when it is back', async () => {
    const { fixture, one } = await three()
    const socket = await severableSocket(fixture.database.connection)
    const through = connectDatabase({
      connection: socket.connection,
      ...{ maxConnections: 2, statementTimeoutMs: 10_000, applicationName: 'latchkey-tests-cut-off' },
      log: recordLog(),
    })
    onTestFinished(async () => {
      await through.close()
      await socket.close()
    })
    const asked = await fixture.open({ db: through.kysely })
    await socket.cut()
    await expect(asked.seal()).rejects.toMatchObject({ code: 'database_unavailable' })
    expect([asked.sealed, one.sealed]).toEqual([true, false])
    await socket.mend()
    await vi.waitFor(() => expect(one.sealed).toBe(true), { timeout: 15_000, interval: 50 })
    expect(asked.sealed).toBe(true)
  })

  test('is not ended by a passphrase that is wrong: not here, and not elsewhere', async () => {
    const passphrase = new Secret('correct horse battery staple')
    const { one, all } = await three({ rootKey: { kind: 'passphrase', passphrase } })
    await one.seal()
    await vi.waitFor(async () => expect(await one.processes()).toMatchObject({ sealed: 3 }), 10_000)
    await expect(one.unseal(new Secret('incorrect horse battery'))).rejects.toMatchObject({
      code: 'root_key_wrong',
    })
    expect(all.map(({ sealed }) => sealed)).toEqual([true, true, true])
    await one.unseal()
    await vi.waitFor(() => expect(all.map(({ sealed }) => sealed)).toEqual([false, false, false]), 10_000)
  })

  test('in the middle of a rotation loses nothing: it goes on when the vault is unsealed', async () => {
    const { fixture, one, others } = await three()
    for (let count = 0; count < 5; count++) await addProviderKey(one, `key-${count}`)
    const rotating = one.rotateKeyring(['secret']).catch((error: unknown) => error)
    await others[0].seal()
    await rotating
    await vi.waitFor(() => expect(one.sealed).toBe(true), 10_000)
    await one.unseal()
    await vi.waitFor(
      async () => {
        const { rows } = await fixture.database.pool.query(
          `select (select count(*) from ring_key where state = 'pending') as pending,
            (select count(distinct substring(envelope from 5 for 4)) from provider_key) as versions,
            (select rotating_process_id from deployment) as rotating`,
        )
        expect(rows).toEqual([{ pending: 0n, versions: 1n, rotating: null }])
      },
      { timeout: 10_000, interval: 50 },
    )
    expect((await one.verifyAll()).damaged).toEqual([])
  })
})
