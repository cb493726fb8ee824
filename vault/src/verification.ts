import type { Principal } from './principal.ts'

/** What became of a token. */
export type Verification =
  /** It is the right token. Status and expiry are the caller's to judge. */
  | { readonly kind: 'verified'; readonly principal: Principal }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
  /** Too many wait for argon2 or the database. */
  | { readonly kind: 'overloaded' }
  | { readonly kind: 'sealed' }
  /** The database is away, and there is no snapshot that may still be used. */
  | { readonly kind: 'unavailable' }

export type RefusalReason = 'malformed' | 'bad-checksum' | 'wrong-type' | 'unknown' | 'tampered'

/** Turns tokens into principals. */
export interface Verifier {
  /** The warm path: synchronous, no I/O. Undefined means that `verify` must be asked. */
  lookup(token: string): Verification | undefined
  /** Never throws for what a token is, or for a database that is away. */
  verify(token: string): Promise<Verification>
}

/** A refusal for good reason: the same token would be refused again. */
export function refused(reason: RefusalReason): Verification {
  return refusals[reason]
}

const refusals: Readonly<Record<RefusalReason, Verification>> = {
  malformed: Object.freeze({ kind: 'refused', reason: 'malformed' }),
  'bad-checksum': Object.freeze({ kind: 'refused', reason: 'bad-checksum' }),
  'wrong-type': Object.freeze({ kind: 'refused', reason: 'wrong-type' }),
  unknown: Object.freeze({ kind: 'refused', reason: 'unknown' }),
  tampered: Object.freeze({ kind: 'refused', reason: 'tampered' }),
}
