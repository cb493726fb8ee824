import { type Refusal, refuse } from './refusal.ts'

/** A credential as sent; not yet known to be any key of ours. */
export interface Credential {
  readonly kind: 'credential'
  readonly token: string
}

/** Every header that can carry a proxy key, and whether its value is `Bearer <key>` or the key alone. */
const carriers: ReadonlyMap<string, 'bearer' | 'bare'> = new Map([
  ['authorization', 'bearer'],
  ['x-api-key', 'bare'],
  ['api-key', 'bare'],
  ['x-goog-api-key', 'bare'],
  ['latchkey-auth', 'bearer'],
  ['helicone-auth', 'bearer'],
])

/** Whether a request header carries credentials, so that it must never travel upstream. */
export function carriesCredential(lowerCaseName: string): boolean {
  return carriers.has(lowerCaseName)
}

/**
 * The one credential of a request. Several headers may repeat the same key; two that differ are
 * refused, since whoever stands before or behind us might honour the other one.
 * `Latchkey-Auth` and `Helicone-Auth` make `Authorization` a provider's own business for clients
 * that come from there, but we hold the provider's key: a differing `Authorization` is refused too.
 */
export function readCredential(rawHeaders: readonly string[]): Credential | Refusal {
  let token: string | null = null
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    const carrier = carriers.get(name)
    if (carrier === undefined) continue
    const value = rawHeaders[index + 1] ?? ''
    const found = carrier === 'bearer' ? bearer(value) : value
    if (found === null) {
      return refuse('invalid_api_key', {
        message: `The ${name} header is not well formed. It must be "Bearer" and the key.`,
      })
    }
    if (found === '') continue
    if (token !== null && token !== found) {
      return refuse('invalid_api_key', {
        message: 'Two different credentials were sent. Send the proxy key once.',
      })
    }
    token = found
  }
  return token === null ? refuse('missing_api_key') : { kind: 'credential', token }
}

/** The token of `Bearer <token>` (RFC 6750, section 2.1; the scheme in any case), '' where there is none, null where malformed. */
function bearer(value: string): string | null {
  if (value === '') return ''
  if (value.length < 7 || value.slice(0, 7).toLowerCase() !== 'bearer ') {
    return value.toLowerCase() === 'bearer' ? '' : null
  }
  const token = value.slice(7)
  return token.includes(' ') ? null : token
}
