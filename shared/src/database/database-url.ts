import { LatchkeyError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { ServerConnection, TlsSetting } from './connection.ts'

const defaultPort = 5432
const knownParameters = ['sslmode', 'host', 'channel_binding']

/**
 * Reads a `postgres://user:password@host:port/database` URL (libpq's manual, "Connection URIs"). Of its
 * parameters, `sslmode`, `channel_binding` and `host` (the directory of a socket) are known. `sslmode` is stricter than libpq's:
 * `require` checks the certificate like `verify-full`, and `no-verify` is the one that does not. Without it there is
 * no TLS. Throws `invalid_config`, whose message quotes nothing of the URL but names of parameters.
 */
export function parseDatabaseUrl(text: Secret): ServerConnection {
  const url = parseUrl(text)
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol)) {
    throw invalid(
      'it must be like postgres://user:password@host:5432/database, with special characters of the password percent-encoded',
    )
  }
  const parameters = readParameters(url)
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map(decode)
  const host = parameters.get('host') ?? decode(url.hostname.replace(/^\[(.*)\]$/, '$1'))
  if (!user) throw invalid('it names no user')
  if (!database || database.includes('/')) throw invalid('it names no database')
  if (!host) throw invalid('it names no host')
  // The separator of several hosts, of which libpq would try each.
  if (host.includes(',')) throw invalid('it names several hosts. Name one')
  return {
    host,
    port: url.port === '' ? defaultPort : Number(url.port),
    user,
    password: password ? new Secret(password) : null,
    database,
    tls: tlsOf(parameters.get('sslmode')),
    channelBinding: (parameters.get('channel_binding') ?? 'disable') !== 'disable',
  }
}

/** The parsed URL, or null. What it throws is dropped: its `input` is the URL, with the password. */
function parseUrl(text: Secret): URL | null {
  const value = text.reveal()
  return URL.canParse(value) ? new URL(value) : null
}

function readParameters(url: URL): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const [name, value] of url.searchParams) {
    if (!knownParameters.includes(name) || parameters.has(name)) {
      const shown = /^[A-Za-z_]{1,32}$/.test(name) ? `"${name}"` : 'one'
      throw invalid(
        `of its parameters, ${shown} is unknown or stands twice. Known are ${knownParameters.join(', ')}`,
      )
    }
    parameters.set(name, value)
  }
  return parameters
}

function tlsOf(mode: string | undefined): TlsSetting {
  switch (mode) {
    case undefined:
    case 'disable':
      return { kind: 'off' }
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return { kind: 'verified', authority: null }
    case 'no-verify':
      return { kind: 'unverified' }
    default:
      throw invalid('its sslmode must be disable, require, verify-full or no-verify')
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('a percent sign in it begins no encoded character')
  }
}

function invalid(why: string): LatchkeyError {
  return new LatchkeyError('invalid_config', {
    message: `DATABASE_URL can't be used: ${why}.`,
    param: 'DATABASE_URL',
  })
}
