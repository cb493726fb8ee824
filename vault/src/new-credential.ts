import { LatchkeyError } from '@latchkey/shared'
import { type Argon2Guard, verifierSaltLength } from './argon2.ts'
import type { MintedToken, TokenFormat } from './proxy-key.ts'
import type { VaultParts } from './vault-parts.ts'

/** What it takes to mint a token. */
export interface Mint {
  readonly parts: VaultParts
  readonly tokens: TokenFormat
  readonly argon2: Argon2Guard
}

/** What a row holds of a secret. */
export interface Credential {
  readonly fingerprint: Buffer
  readonly verifier: Buffer
  readonly verifier_salt: Buffer
  readonly pepper_version: number
}

/** The columns of a row whose secret has no predecessor. */
export const noPrevious = {
  previous_fingerprint: null,
  previous_verifier: null,
  previous_verifier_salt: null,
  previous_pepper_version: null,
  previous_expires_at: null,
} as const

/** What a row holds of a token that was just minted: one run of argon2. Throws `overloaded` and `vault_sealed`. */
export async function deriveCredential(
  { parts: { keyring, random }, tokens, argon2 }: Mint,
  { id, token }: MintedToken,
): Promise<Credential> {
  const parsed = tokens.parse(token.reveal(), 'proxy')
  if (parsed.kind !== 'ok') throw new LatchkeyError('internal_error')
  const pepper = keyring.activePepper()
  const salt = Buffer.from(random(verifierSaltLength))
  const derived = await argon2.derive(`mint ${id} ${salt.toString('hex')}`, {
    secret: parsed.secret,
    salt,
    pepper,
  })
  if (derived.kind === 'overloaded') throw new LatchkeyError('overloaded')
  return {
    fingerprint: pepper.fingerprint(token.reveal()),
    verifier: derived.tag,
    verifier_salt: salt,
    pepper_version: pepper.version,
  }
}
