import {
  type KeyringRotationWire,
  type RingPurpose,
  type RootRotationWire,
  type rotateRootWire,
  Secret,
  type VaultStatusWire,
  type VaultVerifyWire,
} from '@latchkey/shared'
import type { RootKeySource, Vault } from '@latchkey/vault'
import type { z } from 'zod'

/** Answers while sealed, and while the database is away, too. */
export async function readVaultStatus(vault: Vault): Promise<VaultStatusWire> {
  // Where they can't be read, what this process knows of itself is still worth telling.
  const processes = await vault.processes().catch(() => null)
  const { sealed, deploymentId, rootKeySource, rootKeyId, keyring } = vault.status()
  return { sealed, deploymentId, rootKeySource, rootKeyId, keyring: [...keyring], processes }
}

/** Opens every sealed row. Throws `vault_sealed`. */
export async function verifyVault(vault: Vault): Promise<VaultVerifyWire> {
  const { providerKeys, proxyKeys, bodyKeys, damaged } = await vault.verifyAll()
  return { providerKeys, proxyKeys, bodyKeys, damaged: [...damaged] }
}

/** Wraps the keyring under a new root key. Throws `vault_sealed`, and `invalid_request` where none is named but must be. */
export async function rotateRoot(
  vault: Vault,
  target: z.output<typeof rotateRootWire>,
): Promise<RootRotationWire> {
  const { rootKeyId } = await vault.rotateRoot(rootKeySource(target))
  return { rootKeyId }
}

/** Replaces one data key, or all, and seals anew what is stored under the old. Throws `vault_sealed`. */
export async function rotateKeyring(
  vault: Vault,
  purpose: RingPurpose | undefined,
): Promise<KeyringRotationWire> {
  const rotations = await vault.rotateKeyring(purpose === undefined ? undefined : [purpose])
  return { rotated: rotations.map(({ purpose, version, rows }) => ({ purpose, version, rows })) }
}

/** Wipes the keys from memory, in every process: no request is served until the vault is unsealed. Throws `database_unavailable`. */
export async function sealVault(vault: Vault): Promise<VaultStatusWire> {
  await vault.seal()
  return readVaultStatus(vault)
}

/** Reads the root key again, or takes the passphrase. Throws `root_key_wrong`, `root_key_missing`, `root_key_invalid`. */
export async function unsealVault(vault: Vault, passphrase: string | undefined): Promise<VaultStatusWire> {
  await vault.unseal(passphrase === undefined ? undefined : new Secret(passphrase))
  return readVaultStatus(vault)
}

function rootKeySource(target: z.output<typeof rotateRootWire>): RootKeySource | undefined {
  if ('passphrase' in target) return { kind: 'passphrase', passphrase: new Secret(target.passphrase) }
  if ('rootKey' in target) return { kind: 'value', value: new Secret(target.rootKey) }
  return undefined
}
