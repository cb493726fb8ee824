import { timingSafeEqual } from 'node:crypto'
import type { DeploymentId } from '@latchkey/shared'
import type { Keyring } from './keyring.ts'
import { encodeFields } from './length-prefixed.ts'
import type { Pepper } from './pepper.ts'
import { canonicalPolicy, parsePolicy } from './policy.ts'
import type { ProxyKeyRow } from './proxy-key-row.ts'

/** The part of a row that its MAC covers: every column that decides who may do what. */
export type DecidingColumns = Omit<
  ProxyKeyRow,
  | 'row_mac'
  | 'row_mac_pepper_version'
  | 'description'
  | 'tags'
  | 'email'
  | 'created_at'
  | 'rotated_at'
  | 'revoked_at'
  | 'compromised_at'
  | 'last_used_at'
>

/** The columns that carry the MAC. */
export interface RowMac {
  readonly row_mac: Buffer
  readonly row_mac_pepper_version: number
}

/** The MAC of a row as it is about to be written, under the active pepper. Throws `vault_sealed`. */
export function macRow(keyring: Keyring, deploymentId: DeploymentId, row: DecidingColumns): RowMac {
  const pepper = keyring.activePepper()
  return { row_mac: mac(pepper, deploymentId, row), row_mac_pepper_version: pepper.version }
}

/**
 * Whether whoever wrote the row knew the pepper. It can't tell whether the row is the newest one: who can
 * write the database can put back an old row whole. Throws `vault_sealed`.
 */
export function isAuthentic(keyring: Keyring, deploymentId: DeploymentId, row: ProxyKeyRow): boolean {
  const pepper = keyring.pepper(row.row_mac_pepper_version)
  if (pepper === undefined || parsePolicy(row.policy).kind === 'invalid') return false
  const expected = mac(pepper, deploymentId, row)
  return row.row_mac.length === expected.length && timingSafeEqual(row.row_mac, expected)
}

function mac(pepper: Pepper, deploymentId: DeploymentId, row: DecidingColumns): Buffer {
  return pepper.rowMac(
    encodeFields([
      // Rows without a group keep the form that they had before there were groups. The labels tell the forms
      // apart, so a row can't be put into a group, taken out of one or moved between two.
      ...(row.group_id === null ? ['latchkey v1 proxy_key'] : ['latchkey v2 proxy_key', row.group_id]),
      deploymentId,
      pepper.version,
      row.id,
      row.organization_id,
      row.name,
      row.status,
      time(row.expires_at),
      canonicalPolicy(row.policy),
      row.fingerprint,
      row.verifier,
      row.verifier_salt,
      row.pepper_version,
      row.previous_fingerprint,
      row.previous_verifier,
      row.previous_verifier_salt,
      row.previous_pepper_version,
      time(row.previous_expires_at),
      row.revision,
      row.bindings.length,
      ...row.bindings,
    ]),
  )
}

/** A row that somebody edited can hold `infinity`, which is no Date: it must be refused, not crash us. */
function time(date: Date | null): string | null {
  if (date === null) return null
  return date instanceof Date ? String(date.getTime()) : 'not a time'
}
