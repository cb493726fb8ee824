import { type Refusal, refuse } from './refusal.ts'

/** What a request line points at, once it is known to have one reading only. */
export interface Target {
  readonly kind: 'target'
  /** The provider that the path names (`/openai/v1/…`), or null for `/v1/…`, the key's default binding. */
  readonly provider: string | null
  /** The path from `/v1` on, percent-encoding as sent: what policies match and records show. */
  readonly endpoint: string
  /** What is appended to the provider's base URL: `endpoint` less `/v1`, and the query string. */
  readonly upstreamPath: string
}

// Origin-form of visible ASCII (RFC 9112, section 3.2.1). Anything else has more than one reading.
const originForm = /^\/[\x21-\x7e]*$/
const providerPath = /^\/([a-z][a-z0-9-]{0,31})(\/v1(?:\/.*)?)$/

/**
 * Parses the request target. Refused with `not_found`: what is not below `/v1` or `/{provider}/v1`,
 * and every path that a server behind us could read differently (dot segments, encoded or not,
 * empty segments, backslashes, control characters), so that an endpoint policy can't be walked around.
 */
export function parseTarget(requestTarget: string): Target | Refusal {
  const question = requestTarget.indexOf('?')
  const path = question === -1 ? requestTarget : requestTarget.slice(0, question)
  const query = question === -1 ? '' : requestTarget.slice(question)
  if (!originForm.test(requestTarget) || requestTarget.includes('#') || !isPlain(path)) {
    return refuse('not_found', { message: 'The path is not one that every server reads alike.' })
  }
  if (path === '/v1' || path.startsWith('/v1/')) return target(null, path, query)
  const named = providerPath.exec(path)
  if (named?.[1] === undefined || named[2] === undefined) return refuse('not_found')
  return target(named[1], named[2], query)
}

function target(provider: string | null, endpoint: string, query: string): Target {
  return { kind: 'target', provider, endpoint, upstreamPath: endpoint.slice('/v1'.length) + query }
}

function isPlain(path: string): boolean {
  if (path.includes('//') || path.includes('\\') || path.includes('/.')) return false
  if (!path.includes('%')) return true
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    return false
  }
  // Nothing needs to encode these, so it could only hide a name ("/v1/chat/%63ompletions") from a policy.
  if (/%(?:2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)/i.test(path)) return false
  // A second decoding must change nothing, or "%252e" would be a dot to a server that decodes twice.
  return !/\/\.|\/\/|\\|%|\p{Cc}/u.test(decoded)
}
