import { createHash, createHmac, argon2 as derive } from 'node:crypto'
import { type DeploymentId, LatchkeyError, type RandomBytes, Secret } from '@latchkey/shared'
import { keyLength } from './aead.ts'
import type { SealingKey } from './record-keys.ts'

/** Where the root key is. It never stands in the database. */
export type RootKeySource =
  /** A file of mode 0600, made at the first start. */
  | { readonly kind: 'file'; readonly path: string }
  /** Base64 of 32 bytes, from `LATCHKEY_ROOT_KEY`. */
  | { readonly kind: 'value'; readonly value: Secret }
  | { readonly kind: 'passphrase'; readonly passphrase: Secret }

/** The key that wraps the keyring. `wipe` it as soon as the keyring is open. */
export interface RootKey extends SealingKey {
  /** A public fingerprint: says which root key a wrap needs, and nothing else about it. */
  readonly id: string
}

/** What argon2id costs for a passphrase: 64 MiB, three passes (RFC 9106, section 4, second choice, but for one lane). */
const passphraseCost = { memory: 64 * 1024, passes: 3, parallelism: 1, tagLength: keyLength } as const

const shortestPassphrase = 12

/** A root key of these 32 bytes, which it then owns. Throws `root_key_invalid` on another length. */
export function rootKey(bytes: Uint8Array): RootKey {
  if (bytes.length !== keyLength || bytes.every((byte) => byte === 0))
    throw new LatchkeyError('root_key_invalid', {
      message: 'The root key must be 32 random bytes in base64.',
    })
  const id = createHmac('sha256', bytes).update('latchkey v1 root key id').digest('hex').slice(0, 32)
  return { purpose: 'root', version: 0, bytes, id }
}

/** A new random root key. */
export function newRootKey(random: RandomBytes): RootKey {
  return rootKey(Uint8Array.from(random(keyLength)))
}

/** Reads base64 of 32 bytes, in its one canonical spelling; white space around it is forgiven. */
export function parseRootKey(text: Secret): RootKey {
  const trimmed = text.reveal().trim()
  const bytes = Buffer.from(trimmed, 'base64')
  if (bytes.toString('base64') !== trimmed)
    throw new LatchkeyError('root_key_invalid', {
      message: 'The root key must be 32 random bytes in base64.',
    })
  return rootKey(new Uint8Array(bytes))
}

/** The text that `parseRootKey` reads, as it stands in the file. */
export function formatRootKey(key: RootKey): Secret {
  return new Secret(`${Buffer.from(key.bytes).toString('base64')}\n`)
}

/**
 * argon2id of a passphrase. The salt is the deployment's id, hashed: unique to the deployment, known
 * before the keyring is open, and lost only together with the database that it protects.
 */
export async function rootKeyFromPassphrase(
  passphrase: Secret,
  deploymentId: DeploymentId,
): Promise<RootKey> {
  const message = passphrase.reveal().normalize('NFC')
  if (message.length < shortestPassphrase)
    throw new LatchkeyError('root_key_invalid', {
      message: `The passphrase must have at least ${shortestPassphrase} characters.`,
    })
  const nonce = createHash('sha256').update(`latchkey v1 passphrase salt ${deploymentId}`).digest()
  const bytes = await new Promise<Uint8Array>((resolve, reject) => {
    derive('argon2id', { message, nonce, ...passphraseCost }, (error, tag) =>
      error ? reject(error) : resolve(new Uint8Array(tag)),
    )
  })
  return rootKey(bytes)
}

/** Overwrites the key with zeros. */
export function wipeRootKey(key: RootKey): void {
  key.bytes.fill(0)
}
