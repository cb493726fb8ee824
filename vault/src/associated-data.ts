import type { RingPurpose } from '@latchkey/shared'
import { encodeFields } from './length-prefixed.ts'

declare const brand: unique symbol
/**
 * Non-empty bytes that only `associatedData` makes. The AEAD takes nothing else: libsodium's wrapper
 * accepts `undefined` without a word, and what is sealed like that could be moved anywhere.
 */
export type AssociatedData = Uint8Array & { readonly [brand]: 'AssociatedData' }

/** Where sealed bytes belong. Every field is mandatory and non-empty; where none applies it is `none`. */
export interface Place {
  readonly deploymentId: string
  readonly table: string
  readonly column: string
  readonly rowId: string
  readonly organizationId: string
  readonly provider: string
  /** `https://host:port/path`, the port spelled out: the only place that the secret may be sent to. */
  readonly origin: string
  /** Counts the secrets that this row has held, from 1. */
  readonly secretVersion: number
}

/** For the fields of a `Place` that mean nothing there. */
export const none = 'none'

/** Which key seals: a version of a ring key, a root key, whose version is always 0, or a day's key for bodies. */
export interface KeyName {
  readonly purpose: RingPurpose | 'root' | 'body'
  readonly version: number
}

const format = 'latchkey sealed v1 xchacha20-poly1305-ietf hkdf-sha512'

/** The bytes that a seal at `place` under `key` authenticates. Throws `RangeError` on an empty field. */
export function associatedData(place: Place, key: KeyName): AssociatedData {
  const fields = [
    format,
    place.deploymentId,
    place.table,
    place.column,
    place.rowId,
    place.organizationId,
    place.provider,
    place.origin,
    key.purpose,
    key.version,
    place.secretVersion,
  ]
  if (fields.some((field) => field === '')) throw new RangeError('a field of associated data is empty')
  return encodeFields(fields) as Uint8Array as AssociatedData
}
