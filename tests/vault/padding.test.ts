import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import sodium from 'libsodium-wrappers'
import { expect, test } from 'vitest'
import { decrypt, deriveRecordKey, encrypt, nonceLength, paddingBlock } from '../../vault/src/aead.ts'
import { associatedData } from '../../vault/src/associated-data.ts'

const key = deriveRecordKey(randomBytes(32), randomBytes(32), 'padding')
const bound = associatedData(
  {
    deploymentId: 'd',
    table: 'provider_key',
    column: 'envelope',
    rowId: 'r',
    organizationId: 'o',
    provider: 'openai',
    origin: 'https://api.openai.com',
    secretVersion: 1,
  },
  { purpose: 'secret', version: 1 },
)

test('a text comes back as it was, whatever its length and whatever it ends with', () => {
  const byte = fc.oneof(fc.constantFrom(0, 0x80), fc.nat(255))
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 3 * paddingBlock }), (bytes) => {
      const text = Uint8Array.from(bytes)
      const nonce = randomBytes(nonceLength)
      const opened = decrypt(key, key.commitment, nonce, encrypt(key, nonce, text, bound), bound)
      expect(opened).toEqual({ kind: 'opened', plaintext: text })
    }),
  )
})

test.each([
  ['nothing but zeros', new Uint8Array(paddingBlock)],
  ['another mark', new Uint8Array(paddingBlock).fill(0x81)],
  [
    'its mark a block earlier',
    Uint8Array.from({ length: 2 * paddingBlock }, (_, at) => (at === 0 ? 0x80 : 0)),
  ],
])('what was sealed without padding is damaged: %s', (_title, padded) => {
  const nonce = randomBytes(nonceLength)
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(padded, bound, null, nonce, key.encryption)
  expect(decrypt(key, key.commitment, nonce, sealed, bound)).toEqual({ kind: 'damaged' })
})
