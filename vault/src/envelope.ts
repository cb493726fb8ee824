import { commitmentLength, nonceLength, paddingBlock, saltLength, tagLength } from './aead.ts'

/**
 * A sealed value, as stored in a `bytea`:
 * `"LK" | version | algorithm | ring version u32be | salt[32] | nonce[24] | commitment[32] | ciphertext‖tag`.
 */
export interface Envelope {
  /** Version of the ring key that sealed it; 0 means a root key. */
  readonly ringVersion: number
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
  readonly commitment: Uint8Array
  /** Padded ciphertext and its tag. */
  readonly ciphertext: Uint8Array
}

export type EnvelopeParse =
  | { readonly kind: 'envelope'; readonly envelope: Envelope }
  | { readonly kind: 'malformed'; readonly reason: 'length' | 'magic' | 'version' | 'algorithm' }

const magic = Buffer.from('LK', 'latin1')
const version = 1
/** HKDF-SHA512 record keys, XChaCha20-Poly1305-IETF, padding to 64 bytes. */
const algorithm = 1

/** Where the ring version stands, for SQL that looks for envelopes of old versions. */
export const ringVersionOffset = magic.length + 2
const saltOffset = ringVersionOffset + 4
const nonceOffset = saltOffset + saltLength
const commitmentOffset = nonceOffset + nonceLength
const ciphertextOffset = commitmentOffset + commitmentLength

const shortest = ciphertextOffset + paddingBlock + tagLength
/** Far above what is sealed; keeps a planted giant from being read into memory twice. */
const longest = ciphertextOffset + 1024 * 1024 + tagLength

/** The version of the ring key that sealed it, whatever else is in it; null where it is too short to say. */
export function ringVersionOf(bytes: Buffer): number | null {
  return bytes.length < saltOffset ? null : bytes.readUInt32BE(ringVersionOffset)
}

/** The bytes of `envelope`. Throws `RangeError` if a part has the wrong length. */
export function serializeEnvelope(envelope: Envelope): Buffer {
  const head = Buffer.alloc(saltOffset)
  magic.copy(head)
  head.writeUInt8(version, magic.length)
  head.writeUInt8(algorithm, magic.length + 1)
  head.writeUInt32BE(envelope.ringVersion, ringVersionOffset)
  const bytes = Buffer.concat([head, envelope.salt, envelope.nonce, envelope.commitment, envelope.ciphertext])
  if (envelope.salt.length !== saltLength || envelope.nonce.length !== nonceLength)
    throw new RangeError('salt or nonce has the wrong length')
  if (envelope.commitment.length !== commitmentLength || !plausibleLength(bytes.length))
    throw new RangeError('commitment or ciphertext has the wrong length')
  return bytes
}

/** Reads an envelope strictly: no other version, no trailing byte, no length that padding can't give. */
export function parseEnvelope(bytes: Uint8Array): EnvelopeParse {
  if (!plausibleLength(bytes.length)) return { kind: 'malformed', reason: 'length' }
  // A copy in memory of its own: pg may hand out a view of a bigger buffer, and `Buffer.from` one of Node's pool, and a
  // kept snapshot would keep all of it.
  const own = Buffer.allocUnsafeSlow(bytes.length)
  own.set(bytes)
  if (!own.subarray(0, magic.length).equals(magic)) return { kind: 'malformed', reason: 'magic' }
  if (own[magic.length] !== version) return { kind: 'malformed', reason: 'version' }
  if (own[magic.length + 1] !== algorithm) return { kind: 'malformed', reason: 'algorithm' }
  return {
    kind: 'envelope',
    envelope: {
      ringVersion: own.readUInt32BE(ringVersionOffset),
      salt: own.subarray(saltOffset, nonceOffset),
      nonce: own.subarray(nonceOffset, commitmentOffset),
      commitment: own.subarray(commitmentOffset, ciphertextOffset),
      ciphertext: own.subarray(ciphertextOffset),
    },
  }
}

function plausibleLength(length: number): boolean {
  if (length < shortest || length > longest) return false
  return (length - ciphertextOffset - tagLength) % paddingBlock === 0
}
