import { hkdfSync, timingSafeEqual } from 'node:crypto'
import { LatchkeyError } from '@latchkey/shared'
import sodium from 'libsodium-wrappers'
import type { AssociatedData } from './associated-data.ts'

// The only import of libsodium, and every AEAD call of the whole system.
await sodium.ready

/** Bytes of a root key, of a ring key, and of each half of a record key. */
export const keyLength = 32
export const saltLength = 32
export const nonceLength = 24
export const commitmentLength = 32
export const tagLength = 16
/** Plaintexts are padded to a multiple of this, so that a ciphertext tells little of their length. */
export const paddingBlock = 64

/** The key of one sealed value. `wipe` it, or leave that to the cache that holds it. */
export interface RecordKey {
  readonly encryption: Uint8Array
  /** Stored beside the ciphertext. XChaCha20-Poly1305 alone does not commit to its key. */
  readonly commitment: Uint8Array
}

/**
 * HKDF-SHA512 (RFC 5869) of a ring key or root key: 32 bytes encryption key, 32 bytes commitment.
 * Throws `vault_sealed` if `key` has been wiped.
 */
export function deriveRecordKey(key: Uint8Array, salt: Uint8Array, label: string): RecordKey {
  requireLength('key', key, keyLength)
  requireLength('salt', salt, saltLength)
  // A key held across an await may have been wiped meanwhile. Zeros must never seal anything.
  if (key.every((byte) => byte === 0)) throw new LatchkeyError('vault_sealed')
  const derived = new Uint8Array(hkdfSync('sha512', key, salt, label, keyLength + commitmentLength))
  return { encryption: derived.subarray(0, keyLength), commitment: derived.subarray(keyLength) }
}

/** Overwrites a record key with zeros. */
export function wipeRecordKey(key: RecordKey): void {
  key.encryption.fill(0)
  key.commitment.fill(0)
}

/** Ciphertext and tag of the padded `plaintext`. The nonce must be random and never used again. */
export function encrypt(
  key: RecordKey,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  bound: AssociatedData,
): Uint8Array {
  requireLength('encryption key', key.encryption, keyLength)
  requireLength('nonce', nonce, nonceLength)
  if (bound.length === 0) throw new RangeError('associated data is empty')
  const padded = sodium.pad(plaintext, paddingBlock)
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(padded, bound, null, nonce, key.encryption)
  padded.fill(0)
  return sealed
}

export type Decryption =
  | { readonly kind: 'opened'; readonly plaintext: Uint8Array }
  | { readonly kind: 'damaged' }

const damaged: Decryption = { kind: 'damaged' }

/** Opens what `encrypt` sealed. Anything that is not exactly that, under this key and place, is `damaged`. */
export function decrypt(
  key: RecordKey,
  commitment: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
  bound: AssociatedData,
): Decryption {
  requireLength('encryption key', key.encryption, keyLength)
  if (bound.length === 0) throw new RangeError('associated data is empty')
  if (nonce.length !== nonceLength || commitment.length !== commitmentLength) return damaged
  const padded = ciphertext.length - tagLength
  if (padded < paddingBlock || padded % paddingBlock !== 0) return damaged
  if (!timingSafeEqual(commitment, key.commitment)) return damaged
  try {
    const opened = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
      null,
      ciphertext,
      bound,
      nonce,
      key.encryption,
    )
    const length = unpaddedLength(opened)
    return length === -1 ? damaged : { kind: 'opened', plaintext: opened.subarray(0, length) }
  } catch {
    return damaged
  }
}

/**
 * Where the padding begins of a text that has been authenticated: 0x80 and zeros (ISO/IEC 7816-4), as `sodium.pad` makes
 * it; -1 where there is none. libsodium's own copies the text into its memory and back, which is much of a decryption's cost.
 */
function unpaddedLength(padded: Uint8Array): number {
  let at = padded.length - 1
  while (at > padded.length - paddingBlock && padded[at] === 0) at--
  return padded[at] === 0x80 ? at : -1
}

function requireLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${what} has ${bytes.length} bytes, not ${length}`)
}
