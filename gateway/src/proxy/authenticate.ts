import type { Principal, Verification, Verifier } from '@latchkey/vault'
import { readCredential } from './credential.ts'
import { type Refusal, refuse } from './refusal.ts'

export type Authentication = { readonly kind: 'authenticated'; readonly principal: Principal } | Refusal

/**
 * Who sent this: exactly one credential, verified. Synchronous once the key's snapshot is warm; a
 * promise only where the vault must read or verify. Status and expiry are `authorize`'s business.
 */
export function authenticate(
  verifier: Verifier,
  rawHeaders: readonly string[],
  url: string,
): Authentication | Promise<Authentication> {
  const credential = readCredential(rawHeaders)
  if (credential.kind === 'refused') return credential
  const { token } = credential
  // The query goes upstream as it came, and URLs end up in logs.
  if (token.length >= shortestToken && url.includes(token)) {
    return refuse('invalid_api_key', { message: 'The API key stands in the URL. Send it in a header alone.' })
  }
  const known = verifier.lookup(token)
  return known === undefined ? verifier.verify(token).then(authentication) : authentication(known)
}

/** Less is no key of anybody's, and may well stand in a URL. */
const shortestToken = 16

function authentication(verification: Verification): Authentication {
  switch (verification.kind) {
    case 'verified':
      return { kind: 'authenticated', principal: verification.principal }
    case 'refused':
      return verification.reason === 'malformed' || verification.reason === 'bad-checksum'
        ? refuse('invalid_api_key', { message: 'The API key is not well formed: copy it again, whole.' })
        : refuse('invalid_api_key')
    case 'overloaded':
      return refuse('overloaded')
    case 'sealed':
      return refuse('vault_sealed')
    case 'unavailable':
      return refuse('database_unavailable')
    default:
      return verification satisfies never
  }
}
