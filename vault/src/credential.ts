import { timingSafeEqual } from 'node:crypto'
import type { Keyring } from './keyring.ts'
import type { ProxyKeyRow } from './proxy-key-row.ts'

/** The secret of a row that a token's fingerprint matches. */
export interface MatchedCredential {
  readonly verifier: Buffer
  readonly salt: Buffer
  readonly pepperVersion: number
  /** When this secret ends, in milliseconds since the epoch; null: with the key. */
  readonly endsAt: number | null
}

/** 32 bytes that no fingerprint equals: what tokens of unknown ids are compared with. */
const noFingerprint = Buffer.alloc(32)

/**
 * Which secret of the row `token` is: the current one, the one before the last rotation while its grace
 * lasts, or neither. Fingerprints are compared in constant time. Throws `vault_sealed`.
 */
export function matchCredential(
  keyring: Keyring,
  row: ProxyKeyRow,
  token: string,
  now: number,
): MatchedCredential | undefined {
  if (matches(keyring, row.pepper_version, row.fingerprint, token))
    return {
      verifier: row.verifier,
      salt: row.verifier_salt,
      pepperVersion: row.pepper_version,
      endsAt: null,
    }
  const {
    previous_fingerprint: fingerprint,
    previous_verifier: verifier,
    previous_verifier_salt: salt,
    previous_pepper_version: pepperVersion,
    previous_expires_at: expiresAt,
  } = row
  if (fingerprint === null || verifier === null || salt === null) return undefined
  if (pepperVersion === null || expiresAt === null || expiresAt.getTime() <= now) return undefined
  if (!matches(keyring, pepperVersion, fingerprint, token)) return undefined
  return { verifier, salt, pepperVersion, endsAt: expiresAt.getTime() }
}

/** As much work as for a row that exists, so that time does not tell which ids do. */
export function matchNothing(keyring: Keyring, token: string): void {
  timingSafeEqual(keyring.activePepper().fingerprint(token), noFingerprint)
}

function matches(keyring: Keyring, pepperVersion: number, fingerprint: Buffer, token: string): boolean {
  const expected = keyring.pepper(pepperVersion)?.fingerprint(token)
  if (expected === undefined || expected.length !== fingerprint.length) return false
  return timingSafeEqual(expected, fingerprint)
}
