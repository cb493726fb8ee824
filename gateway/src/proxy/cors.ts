import type { IncomingMessage } from 'node:http'

const exposed = 'latchkey-request-id, x-request-id, retry-after, x-should-retry'
const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE'

/**
 * The headers that let a browser application of an allowed origin read the answer (Fetch standard,
 * section 3.2); none for any other. Credentials mode is never allowed: keys travel in headers.
 */
export function corsHeaders(incoming: IncomingMessage, allowedOrigins: readonly string[]): readonly string[] {
  const { origin } = incoming.headers
  if (origin === undefined || allowedOrigins.length === 0) return []
  const any = allowedOrigins.includes('*')
  if (!any && !allowedOrigins.includes(origin)) return ['vary', 'origin']
  return [
    'access-control-allow-origin',
    any ? '*' : origin,
    'access-control-expose-headers',
    exposed,
    ...(any ? [] : ['vary', 'origin']),
  ]
}

/** The answer to a preflight of an allowed origin, as headers of a 204; null where this is none. */
export function preflightHeaders(
  incoming: IncomingMessage,
  allowedOrigins: readonly string[],
): readonly string[] | null {
  if (incoming.method !== 'OPTIONS' || incoming.headers['access-control-request-method'] === undefined)
    return null
  const cors = corsHeaders(incoming, allowedOrigins)
  if (!cors.includes('access-control-allow-origin')) return null
  return [
    ...cors,
    'access-control-allow-methods',
    methods,
    'access-control-allow-headers',
    incoming.headers['access-control-request-headers'] ?? '*',
    'access-control-max-age',
    '600',
  ]
}
