import { LatchkeyError, type RingPurpose } from '@latchkey/shared'
import { Pepper } from './pepper.ts'
import type { SealingKey } from './record-keys.ts'

export type RingState = 'pending' | 'active' | 'retired'

/** One version of one of the vault's data keys, opened. */
export interface RingKey extends SealingKey {
  readonly purpose: RingPurpose
  readonly state: RingState
}

/**
 * The opened data keys of this process: one active key per purpose for what is new, every older version
 * for what is stored. Empty while the vault is sealed; then everything throws `vault_sealed`.
 */
export class Keyring {
  #keys: readonly RingKey[] = []
  #peppers: ReadonlyMap<number, Pepper> = new Map()

  get sealed(): boolean {
    return this.#keys.length === 0
  }

  /** Replaces everything by `keys`, and overwrites what was there before. */
  load(keys: readonly RingKey[]): void {
    const peppers = new Map<number, Pepper>()
    for (const key of keys) {
      if (key.purpose !== 'pepper') continue
      peppers.set(key.version, this.#peppers.get(key.version) ?? new Pepper(key.version, key.bytes))
    }
    const kept = new Set(keys.map((key) => key.bytes))
    for (const key of this.#keys) if (!kept.has(key.bytes)) key.bytes.fill(0)
    this.#keys = keys
    this.#peppers = peppers
  }

  /** The key for what is sealed from now on. Fetch it and use it in one tick: `wipe` zeroes its bytes. */
  active(purpose: RingPurpose): RingKey {
    const key = this.#open().find((each) => each.purpose === purpose && each.state === 'active')
    if (key === undefined)
      throw new LatchkeyError('keyring_damaged', { cause: new Error(`no active ${purpose} key`) })
    return key
  }

  /** The key of that version, whatever its state. */
  get(purpose: RingPurpose, version: number): RingKey | undefined {
    return this.#open().find((each) => each.purpose === purpose && each.version === version)
  }

  /** Whether that version is here. False for every one while sealed. */
  has(purpose: RingPurpose, version: number): boolean {
    return this.#keys.some((each) => each.purpose === purpose && each.version === version)
  }

  /** Every key, without its bytes. Empty while sealed. */
  describe(): readonly RingKeyStatus[] {
    return this.#keys.map(({ purpose, version, state }) => ({ purpose, version, state }))
  }

  activePepper(): Pepper {
    const { version } = this.active('pepper')
    const pepper = this.#peppers.get(version)
    if (pepper === undefined) throw new LatchkeyError('keyring_damaged')
    return pepper
  }

  pepper(version: number): Pepper | undefined {
    this.#open()
    return this.#peppers.get(version)
  }

  /** Overwrites every key with zeros and forgets it. */
  wipe(): void {
    for (const key of this.#keys) key.bytes.fill(0)
    for (const pepper of this.#peppers.values()) pepper.wipe()
    this.#keys = []
    this.#peppers = new Map()
  }

  #open(): readonly RingKey[] {
    if (this.#keys.length === 0) throw new LatchkeyError('vault_sealed')
    return this.#keys
  }
}

export interface RingKeyStatus {
  readonly purpose: RingPurpose
  readonly version: number
  readonly state: RingState
}
