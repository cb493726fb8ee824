import { createLog, type ProxyKeyId, Secret, systemClock, systemRandom } from '@latchkey/shared'
import type { Vault, Verification } from '@latchkey/vault'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Argon2Guard } from '../../vault/src/argon2.ts'
import { ChangeFeed } from '../../vault/src/changes.ts'
import { Keyring } from '../../vault/src/keyring.ts'
import { loadKeyring } from '../../vault/src/open-keyring.ts'
import { Pepper } from '../../vault/src/pepper.ts'
import { defaultSnapshotLimits, Snapshots } from '../../vault/src/snapshots.ts'
import type { VaultParts } from '../../vault/src/vault-parts.ts'
import { TokenVerifier } from '../../vault/src/verify.ts'
import { SteppingClock } from '../support/stepping-clock.ts'
import { addProviderKey, mint, type TestVault, testVault } from './fixture.ts'

const unknown: Verification = { kind: 'refused', reason: 'unknown' }

/** Counts the statements that a test's database runs. */
function countQueries({ database }: TestVault): () => number {
  let count = 0
  database.pool.on('acquire', () => {
    count += 1
  })
  return () => count
}

describe('argon2 is not run', () => {
  test('for any token that is malformed, mistyped, of another plane, unknown, or of a wrong secret', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const fresh = await open()
    const wrongSecret = vault.tokens.mint('proxy', systemRandom, key.id).token.reveal()
    const cases: readonly (readonly [string, Verification])[] = [
      ['', { kind: 'refused', reason: 'malformed' }],
      [token.slice(0, -1), { kind: 'refused', reason: 'malformed' }],
      [`${token.slice(0, -1)}${token.endsWith('0') ? 1 : 0}`, { kind: 'refused', reason: 'bad-checksum' }],
      [vault.tokens.mint('admin', systemRandom).token.reveal(), { kind: 'refused', reason: 'wrong-type' }],
      [vault.tokens.mint('proxy', systemRandom).token.reveal(), unknown],
      [wrongSecret, unknown],
    ]
    for (const [text, expected] of cases) expect(await fresh.verifier.verify(text)).toEqual(expected)
    expect(fresh.argon2Runs).toBe(0)
  })

  test('for keys that are paused, revoked or expired, though the token is right', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const paused = await mint(vault, ['main'])
    const revoked = await mint(vault, ['main'])
    const expired = await mint(vault, ['main'], { expiresAt: new Date(Date.now() - 1) })
    await vault.proxyKeys.pause(vault.defaultOrganizationId, paused.key.id)
    await vault.proxyKeys.revoke(vault.defaultOrganizationId, revoked.key.id)
    const fresh = await open()
    for (const { token, key } of [paused, revoked, expired])
      for (const verification of [await fresh.verifier.verify(token), fresh.verifier.lookup(token)])
        expect(verification).toMatchObject({ kind: 'verified', principal: { keyId: key.id } })
    expect(fresh.argon2Runs).toBe(0)
    // But it is, before such a key may be used again.
    await fresh.proxyKeys.resume(vault.defaultOrganizationId, paused.key.id)
    expect(await fresh.verifier.verify(paused.token)).toMatchObject({ principal: { status: 'active' } })
    expect(fresh.argon2Runs).toBe(1)
  })

  test('again for an expired key when the clock is set back, without being asked first', async () => {
    const clock = new SteppingClock()
    const { vault, open } = await testVault({ clock })
    await addProviderKey(vault, 'main')
    const { token } = await mint(vault, ['main'], { expiresAt: new Date(clock.now() + 1000) })
    const fresh = await open()
    clock.step(2000)
    await fresh.changes.poll()
    await fresh.verifier.verify(token)
    expect(fresh.verifier.lookup(token)?.kind).toBe('verified')
    clock.stepWall(-1500)
    await fresh.changes.poll()
    expect(fresh.verifier.lookup(token)).toBeUndefined()
    expect(fresh.argon2Runs).toBe(0)
    expect((await fresh.verifier.verify(token)).kind).toBe('verified')
    expect(fresh.argon2Runs).toBe(1)
  })

  test('twice for one token, however many ask at once, and however often its key changes', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const fresh = await open()
    const all = await Promise.all(Array.from({ length: 100 }, () => fresh.verifier.verify(token)))
    expect(new Set(all).size).toBe(1)
    expect(fresh.argon2Runs).toBe(1)
    await fresh.proxyKeys.pause(vault.defaultOrganizationId, key.id)
    await fresh.proxyKeys.resume(vault.defaultOrganizationId, key.id)
    expect((await fresh.verifier.verify(token)).kind).toBe('verified')
    expect(fresh.argon2Runs).toBe(1)
  })
})

describe('once warm', () => {
  test('a token is verified in the same tick and without I/O', async () => {
    const fixture = await testVault()
    const { vault } = fixture
    await addProviderKey(vault, 'main')
    const { token } = await mint(vault, ['main'])
    expect(vault.verifier.lookup(token)).toBeUndefined()
    const verification = await vault.verifier.verify(token)
    await vault.changes.poll()
    const queries = countQueries(fixture)
    for (let count = 0; count < 1000; count++) expect(vault.verifier.lookup(token)).toBe(verification)
    expect(queries()).toBe(0)
  })

  test('a refusal is remembered for five seconds', async () => {
    const clock = new SteppingClock()
    const fixture = await testVault({ clock })
    const { vault } = fixture
    const bogus = vault.tokens.mint('proxy', systemRandom).token.reveal()
    expect(vault.verifier.lookup(bogus)).toBeUndefined()
    expect(await vault.verifier.verify(bogus)).toEqual(unknown)
    clock.step(4999)
    expect(vault.verifier.lookup(bogus)).toEqual(unknown)
    clock.step(1)
    expect(vault.verifier.lookup(bogus)).toBeUndefined()
  })

  test('a snapshot is believed for eight seconds after the last poll, by both clocks', async () => {
    const clock = new SteppingClock()
    const { vault } = await testVault({ clock })
    await addProviderKey(vault, 'main')
    const { token } = await mint(vault, ['main'])
    await vault.verifier.verify(token)
    await vault.changes.poll()
    clock.step(7999)
    expect(vault.verifier.lookup(token)?.kind).toBe('verified')
    clock.step(1)
    expect(vault.verifier.lookup(token)).toBeUndefined()
    expect((await vault.verifier.verify(token)).kind).toBe('verified')
    await vault.changes.poll()
    expect(vault.verifier.lookup(token)?.kind).toBe('verified')
    for (const jump of [8000, -1]) {
      clock.stepWall(jump)
      expect(vault.verifier.lookup(token)).toBeUndefined()
      await vault.changes.poll()
      expect(vault.verifier.lookup(token)?.kind).toBe('verified')
    }
  })
})

describe('a flood of unknown tokens', () => {
  test('shares its reads: two thousand cost a few statements', async () => {
    const fixture = await testVault()
    const { vault } = fixture
    const bogus = Array.from({ length: 2000 }, () => vault.tokens.mint('proxy', systemRandom).token.reveal())
    const queries = countQueries(fixture)
    const answers = await Promise.all(bogus.map((token) => vault.verifier.verify(token)))
    expect(answers.every((answer) => answer === answers[0])).toBe(true)
    expect(answers[0]).toEqual(unknown)
    expect(queries()).toBeLessThan(30)
    expect(vault.argon2Runs).toBe(0)
  })
})

/** A verifier whose argon2 guard the test can hold: everything else is what a vault has. */
async function heldVerifier(fixture: TestVault) {
  const { database, rootKeyPath } = fixture
  const environment = {
    db: database.kysely,
    clock: systemClock,
    random: systemRandom,
    log: createLog('silent'),
  }
  const opened = await loadKeyring(environment, { kind: 'file', path: rootKeyPath })
  const keyring = new Keyring()
  keyring.load(opened.keys)
  const changes = new ChangeFeed({ ...environment, listener: undefined })
  await changes.start()
  onTestFinished(() => changes.close())
  const parts: VaultParts = { ...environment, keyring, deploymentId: opened.deploymentId, changes }
  const argon2 = new Argon2Guard({ concurrency: 1, queue: 20 })
  const snapshots = new Snapshots(changes, systemClock, defaultSnapshotLimits)
  const verifier = new TokenVerifier(parts, fixture.vault.tokens, argon2, snapshots)

  /** Keeps the one slot for `runs` × 20 ms. */
  const hold = (runs: number) =>
    Promise.all(
      Array.from({ length: runs }, (_, index) =>
        argon2.derive(`hold ${index}`, {
          secret: new Secret('x'),
          salt: systemRandom(16),
          pepper: new Pepper(1, systemRandom(32)),
        }),
      ),
    )
  const waitingFor = async (count: number) => {
    while (argon2.waiting < count) await new Promise((resolve) => setImmediate(resolve))
  }
  return { verifier, argon2, changes, hold, waitingFor }
}

describe('a key that is revoked while its verification waits for argon2', () => {
  async function race(act: (vault: Vault, id: ProxyKeyId) => Promise<unknown>) {
    const fixture = await testVault()
    const { vault } = fixture
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const held = await heldVerifier(fixture)
    const holding = held.hold(15)
    const verifying = held.verifier.verify(token)
    await held.waitingFor(15)
    await act(vault, key.id)
    await held.changes.poll()
    expect(held.argon2.waiting).toBeGreaterThan(0)
    const verification = await verifying
    await holding
    return { verification, later: held.verifier.lookup(token) }
  }

  test('is not verified as active, nor cached so', async () => {
    const { verification, later } = await race((vault, id) =>
      vault.proxyKeys.revoke(vault.defaultOrganizationId, id),
    )
    expect(verification).toMatchObject({ kind: 'verified', principal: { status: 'revoked' } })
    expect(later).toBe(verification)
  })

  test('is refused if it got a new secret and no grace', async () => {
    const { verification, later } = await race((vault, id) =>
      vault.proxyKeys.rotate(vault.defaultOrganizationId, id, { graceMs: 0 }),
    )
    expect(verification).toEqual(unknown)
    expect(later).toEqual(unknown)
  })
})

describe('with argon2 overloaded', () => {
  test('a right token on a cold cache is told so, a warm one is served, and nothing of it is kept', async () => {
    const fixture = await testVault()
    const { vault } = fixture
    await addProviderKey(vault, 'main')
    const warm = await mint(vault, ['main'])
    const cold = await mint(vault, ['main'])
    const held = await heldVerifier(fixture)
    await held.verifier.verify(warm.token)
    const holding = held.hold(21)
    expect(await held.verifier.verify(cold.token)).toEqual({ kind: 'overloaded' })
    expect(held.verifier.lookup(warm.token)?.kind).toBe('verified')
    const wrong = vault.tokens.mint('proxy', systemRandom, warm.key.id).token.reveal()
    expect(await held.verifier.verify(wrong)).toEqual(unknown)
    await holding
    expect((await held.verifier.verify(cold.token)).kind).toBe('verified')
  })
})
