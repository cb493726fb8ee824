import { systemRandom } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import { Keyring, type RingKey } from '../../vault/src/keyring.ts'
import { RecordKeys, recordKey } from '../../vault/src/record-keys.ts'

function ringKey(purpose: RingKey['purpose'], version: number, state: RingKey['state']): RingKey {
  return { purpose, version, state, bytes: Uint8Array.from(systemRandom(32)) }
}

describe('the keyring', () => {
  test('has one active key a purpose, and every older one', () => {
    const keyring = new Keyring()
    const pepper = ringKey('pepper', 1, 'active')
    keyring.load([ringKey('secret', 1, 'active'), ringKey('secret', 2, 'pending'), pepper])
    expect(keyring.active('secret').version).toBe(1)
    keyring.load([ringKey('secret', 1, 'retired'), ringKey('secret', 2, 'active'), pepper])
    expect(keyring.active('secret').version).toBe(2)
    expect(keyring.get('secret', 1)?.state).toBe('retired')
    expect(keyring.get('secret', 3)).toBeUndefined()
    expect([keyring.has('secret', 2), keyring.has('secret', 3)]).toEqual([true, false])
    expect(keyring.active('pepper').version).toBe(1)
  })

  test('that is loaded anew has overwritten what it had before with zeros, but for what it keeps', () => {
    const keyring = new Keyring()
    const [secret, pepper] = [ringKey('secret', 1, 'active'), ringKey('pepper', 1, 'active')]
    keyring.load([secret, pepper])
    const before = keyring.activePepper()
    keyring.load([ringKey('secret', 1, 'active'), pepper])
    expect(secret.bytes.every((byte) => byte === 0)).toBe(true)
    expect(pepper.bytes.every((byte) => byte === 0)).toBe(false)
    // What waits for argon2 holds on to it.
    expect(keyring.activePepper()).toBe(before)
  })

  test('that is wiped has overwritten every key with zeros, and gives none', () => {
    const keyring = new Keyring()
    const keys = [ringKey('secret', 1, 'active'), ringKey('pepper', 1, 'active')]
    keyring.load(keys)
    const pepper = keyring.activePepper()
    const argon2Secret = pepper.argon2Secret()
    keyring.wipe()
    for (const key of keys) expect(key.bytes.every((byte) => byte === 0)).toBe(true)
    expect(argon2Secret.every((byte) => byte === 0)).toBe(true)
    const sealed = expect.objectContaining({ code: 'vault_sealed' })
    expect(() => keyring.active('secret')).toThrow(sealed)
    expect(() => keyring.pepper(1)).toThrow(sealed)
    expect(() => pepper.fingerprint('x')).toThrow(sealed)
    expect(keyring.describe()).toEqual([])
  })
})

describe('record keys', () => {
  test('are bounded, and zeroed when they are pushed out and when they are wiped', () => {
    const keys = new RecordKeys(2)
    const ring = ringKey('secret', 1, 'active')
    const held = ['a', 'b', 'c'].map((name) => keys.get(name, ring, systemRandom(32)))
    const zeroed = () => held.map((key) => key.encryption.every((byte) => byte === 0))
    expect(keys.size).toBe(2)
    expect(zeroed()).toEqual([true, false, false])
    keys.wipe()
    expect(zeroed()).toEqual([true, true, true])
    expect(keys.size).toBe(0)
  })

  test('of two purposes differ even under the same bytes and salt', () => {
    const secret = ringKey('secret', 1, 'active')
    const salt = systemRandom(32)
    const other = recordKey({ ...secret, purpose: 'webhook' }, salt)
    expect(Buffer.from(recordKey(secret, salt).encryption).equals(other.encryption)).toBe(false)
  })
})
