import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { LatchkeyError } from '@latchkey/shared'

/** What a version of the `pepper` ring key is used for, each use under a key of its own. */
export class Pepper {
  readonly version: number
  #keys: PepperKeys | undefined

  constructor(version: number, ringKey: Uint8Array) {
    this.version = version
    this.#keys = {
      fingerprint: createSecretKey(subkey(ringKey, 'token fingerprint')),
      rowMac: createSecretKey(subkey(ringKey, 'row mac')),
      argon2: subkey(ringKey, 'argon2 secret'),
    }
  }

  /** HMAC-SHA256 of a whole token. Throws `vault_sealed`. */
  fingerprint(token: string): Buffer {
    return createHmac('sha256', this.#open().fingerprint).update(token).digest()
  }

  /** HMAC-SHA256 of an encoded row. Throws `vault_sealed`. */
  rowMac(encoded: Uint8Array): Buffer {
    return createHmac('sha256', this.#open().rowMac).update(encoded).digest()
  }

  /** argon2's `secret`. Ask for it where it is used: a copy kept over an await could be zeros by then. */
  argon2Secret(): Uint8Array {
    return this.#open().argon2
  }

  /** Zeroes what JavaScript can reach and drops the rest. */
  wipe(): void {
    this.#keys?.argon2.fill(0)
    this.#keys = undefined
  }

  #open(): PepperKeys {
    if (this.#keys === undefined) throw new LatchkeyError('vault_sealed')
    return this.#keys
  }
}

interface PepperKeys {
  readonly fingerprint: KeyObject
  readonly rowMac: KeyObject
  readonly argon2: Uint8Array
}

function subkey(ringKey: Uint8Array, use: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha512', ringKey, new Uint8Array(0), `latchkey v1 pepper ${use}`, 32))
}
