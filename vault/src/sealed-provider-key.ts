import {
  type BudgetId,
  type DeploymentId,
  type OrganizationId,
  type ProviderKeyId,
  type RandomBytes,
  Secret,
  type StoredLimit,
} from '@latchkey/shared'
import { decrypt } from './aead.ts'
import { type AssociatedData, associatedData, type Place } from './associated-data.ts'
import { boundOrigin } from './base-url.ts'
import { type Envelope, parseEnvelope } from './envelope.ts'
import type { Keyring } from './keyring.ts'
import type { RecordKeys } from './record-keys.ts'
import { seal } from './seal.ts'

/** The columns of a `provider_key` row that its seal binds. */
export interface ProviderKeyColumns {
  readonly id: ProviderKeyId
  readonly organization_id: OrganizationId
  readonly provider: string
  readonly base_url: string
  readonly secret_version: number
}

declare const brand: unique symbol
/** A sealed provider key, ready to be opened: opaque outside the vault. */
export interface SealedProviderKey {
  readonly [brand]: 'SealedProviderKey'
}

/** A provider key that a proxy key may use, as it was when the proxy key was read. */
export interface BoundProviderKey {
  readonly id: ProviderKeyId
  readonly name: string
  readonly organizationId: OrganizationId
  readonly provider: string
  readonly baseUrl: string
  /** Those that pay for the requests sent with it, whosever they are; in any status. */
  readonly budgets: readonly BudgetId[]
  /** Of all that is sent with it, whoever sends it. Holders of proxy keys are not told of them. */
  readonly limits: readonly StoredLimit[]
  readonly sealed: SealedProviderKey
}

export type OpenedProviderKey =
  | { readonly kind: 'opened'; readonly secret: Secret }
  | { readonly kind: 'sealed' }
  /** It was changed or moved, or is sealed under a key that this vault does not have. */
  | { readonly kind: 'damaged' }

/** What `SealedProviderKey` hides: parsed once when the row is read, so that opening is cheap. */
interface Prepared {
  readonly envelope: Envelope
  readonly bound: AssociatedData
  readonly cacheName: string
}

/** Kept beside the opaque value, so that nobody outside can read or forge what is in it. */
const prepared = new WeakMap<SealedProviderKey, Prepared>()
const damaged: OpenedProviderKey = { kind: 'damaged' }

/** Seals `secret` for the row `columns` under the active key. Throws `vault_sealed`. */
export function sealProviderKey(
  keyring: Keyring,
  deploymentId: DeploymentId,
  columns: ProviderKeyColumns,
  secret: Secret,
  random: RandomBytes,
): Buffer {
  const plaintext = Buffer.from(secret.reveal(), 'utf8')
  try {
    return seal(keyring.active('secret'), placeOf(deploymentId, columns), plaintext, random)
  } finally {
    plaintext.fill(0)
  }
}

/** Reads a row's envelope. What can't be read gives a value that opens as `damaged`. */
export function prepareProviderKey(
  deploymentId: DeploymentId,
  columns: ProviderKeyColumns,
  bytes: Uint8Array,
): SealedProviderKey {
  const sealed = Object.freeze({}) as SealedProviderKey
  const parsed = parseEnvelope(bytes)
  if (parsed.kind === 'malformed') return sealed
  const { envelope } = parsed
  const key = { purpose: 'secret', version: envelope.ringVersion } as const
  prepared.set(sealed, {
    envelope,
    bound: associatedData(placeOf(deploymentId, columns), key),
    cacheName: `${envelope.ringVersion}.${Buffer.from(envelope.salt).toString('base64')}`,
  })
  return sealed
}

/** Opens a sealed provider key: no I/O, some microseconds. Record keys are cached, the secret never is. */
export function openProviderKey(
  keyring: Keyring,
  recordKeys: RecordKeys,
  sealed: SealedProviderKey,
): OpenedProviderKey {
  if (keyring.sealed) return { kind: 'sealed' }
  const parts = prepared.get(sealed)
  if (parts === undefined) return damaged
  const { envelope, bound, cacheName } = parts
  const key = keyring.get('secret', envelope.ringVersion)
  if (key === undefined) return damaged
  const record = recordKeys.get(cacheName, key, envelope.salt)
  const opened = decrypt(record, envelope.commitment, envelope.nonce, envelope.ciphertext, bound)
  if (opened.kind === 'damaged') return damaged
  const text = Buffer.from(opened.plaintext.buffer, opened.plaintext.byteOffset, opened.plaintext.length)
  const secret = new Secret(text.toString('utf8'))
  text.fill(0)
  return { kind: 'opened', secret }
}

function placeOf(deploymentId: DeploymentId, columns: ProviderKeyColumns): Place {
  return {
    deploymentId,
    table: 'provider_key',
    column: 'envelope',
    rowId: columns.id,
    organizationId: columns.organization_id,
    provider: columns.provider,
    origin: boundOrigin(columns.base_url),
    secretVersion: columns.secret_version,
  }
}
