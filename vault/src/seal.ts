import type { RandomBytes } from '@latchkey/shared'
import { type Decryption, decrypt, encrypt, nonceLength, saltLength, wipeRecordKey } from './aead.ts'
import { associatedData, type Place } from './associated-data.ts'
import { parseEnvelope, serializeEnvelope } from './envelope.ts'
import { recordKey, type SealingKey } from './record-keys.ts'

/** Seals `plaintext` for exactly one place, under a record key of its own. The envelope's bytes. */
export function seal(key: SealingKey, place: Place, plaintext: Uint8Array, random: RandomBytes): Buffer {
  const salt = random(saltLength)
  const nonce = random(nonceLength)
  const record = recordKey(key, salt)
  const ciphertext = encrypt(record, nonce, plaintext, associatedData(place, key))
  const bytes = serializeEnvelope({
    ringVersion: key.version,
    salt,
    nonce,
    commitment: record.commitment,
    ciphertext,
  })
  wipeRecordKey(record)
  return bytes
}

/**
 * Opens what `seal` made at `place`. `keyOf` finds the key by the version that the envelope names; that
 * version is bound too, so a changed one fails. Wipe the plaintext after use.
 */
export function open(
  keyOf: (ringVersion: number) => SealingKey | undefined,
  place: Place,
  bytes: Uint8Array,
): Decryption {
  const parsed = parseEnvelope(bytes)
  if (parsed.kind === 'malformed') return { kind: 'damaged' }
  const { ringVersion, salt, nonce, commitment, ciphertext } = parsed.envelope
  const key = keyOf(ringVersion)
  if (key === undefined) return { kind: 'damaged' }
  const record = recordKey(key, salt)
  const opened = decrypt(record, commitment, nonce, ciphertext, associatedData(place, key))
  wipeRecordKey(record)
  return opened
}
