import { LRUCache } from 'lru-cache'
import { deriveRecordKey, type RecordKey, wipeRecordKey } from './aead.ts'
import type { KeyName } from './associated-data.ts'

/** A key that seals: a ring key or a root key. */
export interface SealingKey extends KeyName {
  readonly bytes: Uint8Array
}

/** A fresh record key of `key`. The label keeps keys of different purposes apart even if bytes are reused. */
export function recordKey(key: SealingKey, salt: Uint8Array): RecordKey {
  return deriveRecordKey(key.bytes, salt, `latchkey v1 record ${key.purpose}`)
}

/** Derived record keys, so that opening a provider key costs a decryption and no HKDF. Bounded, zeroed. */
export class RecordKeys {
  readonly #cache: LRUCache<string, RecordKey>

  constructor(max = 1024) {
    this.#cache = new LRUCache({ max, dispose: (key) => wipeRecordKey(key) })
  }

  /** The record key for `salt`, cached under `name`, which must be unique to key and salt. Use it at once. */
  get(name: string, key: SealingKey, salt: Uint8Array): RecordKey {
    const cached = this.#cache.get(name)
    if (cached !== undefined) return cached
    const derived = recordKey(key, salt)
    this.#cache.set(name, derived)
    return derived
  }

  get size(): number {
    return this.#cache.size
  }

  /** Overwrites every key with zeros and forgets it. */
  wipe(): void {
    this.#cache.clear()
  }
}
