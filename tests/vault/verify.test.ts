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
import { addProviderKey, intrude, mint, type TestVault, testVault } from './fixture.ts'

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

  test('costs no more where the ids are right: a row is read and checked once for all who guess its secret', async () => {
    const fixture = await testVault()
    const { vault, database, logged } = fixture
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    await intrude(database, 'update proxy_key set revision = revision + 1', [])
    const guesses = Array.from({ length: 500 }, () =>
      vault.tokens.mint('proxy', systemRandom, key.id).token.reveal(),
    )
    const queries = countQueries(fixture)
    const answers = await Promise.all(guesses.map((token) => vault.verifier.verify(token)))
    expect(new Set(answers)).toEqual(new Set([{ kind: 'refused', reason: 'tampered' }]))
    expect(queries()).toBe(1)
    expect(logged.filter((line) => line.includes('proxy_key.tampered'))).toHaveLength(1)
  })

  test('is looked up alike, whether the id exists or not: by one statement', async () => {
    const fixture = await testVault()
    const { vault } = fixture
    await addProviderKey(vault, 'main')
    const { key } = await mint(vault, ['main'])
    const queries = countQueries(fixture)
    expect(await vault.verifier.verify(vault.tokens.mint('proxy', systemRandom).token.reveal())).toEqual(
      unknown,
    )
    expect(queries()).toBe(1)
    const wrong = vault.tokens.mint('proxy', systemRandom, key.id).token.reveal()
    expect(await vault.verifier.verify(wrong)).toEqual(unknown)
    expect(queries()).toBe(2)
  })

  test('does not stand before a key that was verified once and whose snapshot is out of date', async () => {
    const { vault, open } = await testVault()
    await addProviderKey(vault, 'main')
    const good = await mint(vault, ['main'])
    const other = await mint(vault, ['main'])
    const fresh = await open()
    await fresh.verifier.verify(good.token)
    await fresh.proxyKeys.pause(vault.defaultOrganizationId, other.key.id)
    expect(fresh.verifier.lookup(good.token)).toBeUndefined()
    // Forty statements, one after the other.
    const flood = Array.from({ length: 8000 }, () => vault.tokens.mint('proxy', systemRandom).token.reveal())
    const over = Promise.all(flood.map((token) => fresh.verifier.verify(token)))
    const verified = fresh.verifier.verify(good.token)
    expect(await Promise.race([verified.then(({ kind }) => kind), over.then(() => 'flood is over')])).toBe(
      'verified',
    )
    await over
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
  const { deploymentId } = opened
  const parts: VaultParts = { ...environment, keyring, deploymentId, changes, learnKeys: async () => {} }
  const limits = { concurrency: 1, queue: 20 }
  const argon2 = new Argon2Guard(limits)
  const snapshots = new Snapshots(changes, systemClock, defaultSnapshotLimits)
  const verifier = new TokenVerifier(parts, fixture.vault.tokens, argon2, snapshots)

  /** From here on nothing runs, and so many may wait. */
  const hold = (queue: number) => Object.assign(limits, { concurrency: 0, queue })
  /** A run of its own, which hands its slot to the first who waits. */
  const release = async () => {
    Object.assign(limits, { concurrency: 1, queue: 20 })
    const [secret, salt, pepper] = [new Secret('x'), systemRandom(16), new Pepper(1, systemRandom(32))]
    await argon2.derive('release', { secret, salt, pepper })
  }
  const waiting = async () => {
    while (argon2.waiting === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return { verifier, changes, hold, release, waiting }
}

describe('a key that is revoked while its verification waits for argon2', () => {
  async function race(act: (vault: Vault, id: ProxyKeyId) => Promise<unknown>) {
    const fixture = await testVault()
    const { vault } = fixture
    await addProviderKey(vault, 'main')
    const { key, token } = await mint(vault, ['main'])
    const held = await heldVerifier(fixture)
    held.hold(1)
    const verifying = held.verifier.verify(token)
    await held.waiting()
    await act(vault, key.id)
    await held.changes.poll()
    await held.release()
    const verification = await verifying
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
    held.hold(0)
    expect(await held.verifier.verify(cold.token)).toEqual({ kind: 'overloaded' })
    expect(held.verifier.lookup(warm.token)?.kind).toBe('verified')
    const wrong = vault.tokens.mint('proxy', systemRandom, warm.key.id).token.reveal()
    expect(await held.verifier.verify(wrong)).toEqual(unknown)
    await held.release()
    expect((await held.verifier.verify(cold.token)).kind).toBe('verified')
  })
})
