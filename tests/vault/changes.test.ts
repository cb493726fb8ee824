import { createLog } from '@latchkey/shared'
import { connectDatabase, postgresListener } from '@latchkey/shared/database'
import type { Vault, VaultOptions } from '@latchkey/vault'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { bestOfThree } from '../support/best-of.ts'
import { severableSocket } from '../support/severable-socket.ts'
import { SteppingClock } from '../support/stepping-clock.ts'
import { addProviderKey, mint, type TestVault, testVault } from './fixture.ts'

const log = createLog('silent')

function status(vault: Vault, token: string): string | undefined {
  const verification = vault.verifier.lookup(token)
  return verification?.kind === 'verified' ? verification.principal.status : verification?.kind
}

async function servedAs(vault: Vault, token: string): Promise<string> {
  const verification = await vault.verifier.verify(token)
  return verification.kind === 'verified' ? verification.principal.status : verification.kind
}

/** How long a revocation at one takes to the other, in milliseconds. */
async function revocationTakes(one: Vault, other: Vault): Promise<number> {
  const { key, token } = await mint(one, ['main'])
  await vi.waitFor(async () => expect(await servedAs(other, token)).toBe('active'), { timeout: 10_000 })
  const began = performance.now()
  await one.proxyKeys.revoke(one.defaultOrganizationId, key.id)
  await vi.waitFor(async () => expect(await servedAs(other, token)).toBe('revoked'), {
    interval: 5,
    timeout: 10_000,
  })
  return performance.now() - began
}

describe('a revocation', () => {
  test('is in force in this process when it returns', async () => {
    const { vault } = await testVault()
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    expect(await servedAs(vault, token)).toBe('active')
    await vault.proxyKeys.revoke(vault.defaultOrganizationId, key.id)
    expect(status(vault, token)).toBeUndefined()
    expect(await servedAs(vault, token)).toBe('revoked')
  })

  test('reaches another process by NOTIFY long before its poll', async () => {
    const { vault, database, open } = await testVault()
    await addProviderKey(vault, 'main')
    const other = await open({ listener: postgresListener(database.connection, log) })
    await listening(database, 1)
    await other.changes.poll()
    expect(await bestOfThree(1000, () => revocationTakes(vault, other))).toBeLessThan(1000)
  })

  test('reaches another process within two seconds without NOTIFY', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const other = await open()
    expect(await bestOfThree(2500, () => revocationTakes(vault, other))).toBeLessThan(2500)
  })

  test('is not missed because the connection that listens was cut', async () => {
    const { vault, database, open } = await testVault()
    await addProviderKey(vault, 'main')
    const other = await open({ listener: postgresListener(database.connection, log) })
    await listening(database, 1)
    const cut = await database.pool.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%' and datname = current_database()",
    )
    expect(cut.rowCount).toBe(1)
    await listening(database, 1)
    expect(await bestOfThree(1000, () => revocationTakes(vault, other))).toBeLessThan(1000)
  })
})

describe('the counter', () => {
  test('tells of any other value, a lower one too: a promoted replica may have lost the last ones', async () => {
    const { vault, database } = await testVault()
    const before = vault.changes.generation
    await database.pool.query('update change_counter set value = value + 100')
    await vault.changes.poll()
    expect(vault.changes.generation).not.toBe(before)
    const between = vault.changes.generation
    await database.pool.query('update change_counter set value = value - 100')
    await vault.changes.poll()
    expect(vault.changes.generation).not.toBe(between)
  })

  test('stays as it is where a change was rolled back', async () => {
    const { vault, database } = await testVault()
    const counter = () => database.pool.query('select value from change_counter')
    const before = (await counter()).rows
    const failing = vault.changes.transact(async (_trx, bump) => {
      await bump('proxy-key')
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect((await counter()).rows).toEqual(before)
  })
})

describe('while Postgres is away', () => {
  async function cutOff(options: Partial<VaultOptions> = {}) {
    const clock = new SteppingClock()
    const fixture: TestVault = await testVault({ clock })
    const socket = await severableSocket(fixture.database.connection)
    const through = connectDatabase({
      connection: socket.connection,
      maxConnections: 5,
      statementTimeoutMs: 10_000,
      applicationName: 'latchkey-tests-cut-off',
      log,
    })
    onTestFinished(async () => {
      await through.close()
      await socket.close()
    })
    await addProviderKey(fixture.vault, 'main')
    const { key, token } = await mint(fixture.vault, ['main'])
    const vault = await fixture.open({ db: through.kysely, ...options })
    expect(await servedAs(vault, token)).toBe('active')
    await socket.cut()
    await vault.changes.poll()
    return { clock, fixture, socket, vault, key, token }
  }

  test('keys go on working for sixty seconds, without I/O, and not a moment longer', async () => {
    const { clock, vault, token } = await cutOff()
    for (const milliseconds of [0, 7000, 7000, 30_000, 15_999]) {
      clock.step(milliseconds)
      expect(status(vault, token)).toBe('active')
    }
    clock.step(1)
    expect(status(vault, token)).toBeUndefined()
    expect(await servedAs(vault, token)).toBe('unavailable')
  })

  test('they are refused at once, if told to be strict', async () => {
    const { vault, token } = await cutOff({ staleForMs: 0 })
    expect(status(vault, token)).toBeUndefined()
    expect(await servedAs(vault, token)).toBe('unavailable')
  })

  test('they work for as long as told, where that is less than a snapshot is believed', async () => {
    const { clock, vault, token } = await cutOff({ staleForMs: 3000 })
    clock.step(2999)
    expect(status(vault, token)).toBe('active')
    clock.step(1)
    expect(await servedAs(vault, token)).toBe('unavailable')
  })

  test('a key that was not used before is neither refused as unknown nor let in', async () => {
    const { fixture, vault } = await cutOff()
    const { token } = await mint(fixture.vault, ['main'])
    expect(await servedAs(vault, token)).toBe('unavailable')
    expect(vault.argon2Runs).toBe(1)
  })

  test('what was revoked meanwhile is refused as soon as Postgres is back', async () => {
    const { fixture, socket, vault, key, token } = await cutOff()
    await fixture.vault.proxyKeys.revoke(vault.defaultOrganizationId, key.id)
    expect(await servedAs(vault, token)).toBe('active')
    await socket.mend()
    await vault.changes.poll()
    expect(await servedAs(vault, token)).toBe('revoked')
  })
})

/** Waits until so many connections listen to this database. */
async function listening({ pool }: TestVault['database'], count: number): Promise<void> {
  await vi.waitFor(
    async () => {
      const { rowCount } = await pool.query(
        "select from pg_stat_activity where query ilike 'listen%' and state = 'idle' and datname = current_database()",
      )
      expect(rowCount).toBe(count)
    },
    { interval: 10, timeout: 10_000 },
  )
}
