import { z } from 'zod'
import { ringPurposes } from '../database/tables.ts'

const ringKeyWire = z.object({
  purpose: z.enum(ringPurposes),
  version: z.number().int(),
  state: z.enum(['pending', 'active', 'retired']),
})

/** `GET /api/vault`. Sealed: the keyring is wiped from memory, and shown empty. */
export const vaultStatusWire = z.object({
  sealed: z.boolean(),
  deploymentId: z.string(),
  /** Where the root key is read from; a passphrase must be given to unseal. */
  rootKeySource: z.enum(['file', 'value', 'passphrase']),
  /** A public fingerprint of the root key that wraps the keyring; null while sealed. */
  rootKeyId: z.string().nullable(),
  keyring: z.array(ringKeyWire),
  /** The vaults of all live processes of the deployment; null where the database could not be asked. */
  processes: z
    .object({
      live: z.number().int(),
      sealed: z.number().int(),
      /** Those whose root key does not open the keyring as it is now. */
      lockedOut: z.number().int(),
    })
    .nullable(),
})
export type VaultStatusWire = z.infer<typeof vaultStatusWire>

/** `POST /api/vault/verify`: every sealed row was opened, and every proxy key's MAC compared. */
export const vaultVerifyWire = z.object({
  providerKeys: z.number().int(),
  proxyKeys: z.number().int(),
  /** Keys of days by which captured bodies are sealed. */
  bodyKeys: z.number().int(),
  /** Rows that were edited, swapped or damaged: they do not work, and must be replaced. */
  damaged: z.array(
    z.object({ kind: z.enum(['provider-key', 'proxy-key', 'body-key']), id: z.string(), name: z.string() }),
  ),
})
export type VaultVerifyWire = z.infer<typeof vaultVerifyWire>

/**
 * `POST /api/vault/rotate-root`. Where the root key is a file, the body is empty: a new random one replaces
 * it. Elsewhere it names the new one, which must be in the settings before the next start.
 */
export const rotateRootWire = z.union([
  z.strictObject({}),
  z.strictObject({ passphrase: z.string().min(1).max(1024) }),
  z.strictObject({
    /** Base64 of 32 random bytes. */
    rootKey: z.string().min(1).max(1024),
  }),
])
export const rootRotationWire = z.object({ rootKeyId: z.string() })
export type RootRotationWire = z.infer<typeof rootRotationWire>

/** `POST /api/vault/rotate-keyring`. Without a purpose, every data key is replaced. */
export const rotateKeyringWire = z.strictObject({ purpose: z.enum(ringPurposes).optional() })
export const keyringRotationWire = z.object({
  rotated: z.array(
    z.object({ purpose: z.enum(ringPurposes), version: z.number().int(), rows: z.number().int() }),
  ),
})
export type KeyringRotationWire = z.infer<typeof keyringRotationWire>

/** `POST /api/vault/unseal`. A passphrase only where the root key is one. */
export const unsealWire = z.strictObject({ passphrase: z.string().min(1).max(1024).optional() })
