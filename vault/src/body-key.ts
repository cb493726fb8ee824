import type { DeploymentId, OrganizationId, RandomBytes } from '@latchkey/shared'
import { keyLength } from './aead.ts'
import { none, type Place } from './associated-data.ts'
import type { Keyring } from './keyring.ts'
import type { SealingKey } from './record-keys.ts'
import { open, seal } from './seal.ts'

/** The columns of a `body_key` row that its seal binds. */
export interface BodyKeyColumns {
  readonly organization_id: OrganizationId
  /** Days since the Unix epoch. */
  readonly day: number
}

/** Seals the bytes of a day's key for its row. Throws `vault_sealed`. */
export function sealBodyKey(
  keyring: Keyring,
  deploymentId: DeploymentId,
  columns: BodyKeyColumns,
  bytes: Uint8Array,
  random: RandomBytes,
): Buffer {
  return seal(keyring.active('secret'), placeOf(deploymentId, columns), bytes, random)
}

/** The day's key of a row; undefined where it does not open there. Throws `vault_sealed`. */
export function openBodyKey(
  keyring: Keyring,
  deploymentId: DeploymentId,
  columns: BodyKeyColumns,
  envelope: Uint8Array,
): SealingKey | undefined {
  const opened = open((version) => keyring.get('secret', version), placeOf(deploymentId, columns), envelope)
  if (opened.kind === 'damaged' || opened.plaintext.length !== keyLength) return undefined
  return { purpose: 'body', version: columns.day, bytes: opened.plaintext }
}

function placeOf(deploymentId: DeploymentId, { organization_id, day }: BodyKeyColumns): Place {
  return {
    deploymentId,
    table: 'body_key',
    column: 'envelope',
    rowId: String(day),
    organizationId: organization_id,
    provider: none,
    origin: none,
    secretVersion: 1,
  }
}
