import { Secret } from '../secret.ts'
import { UrlSetting } from '../url-setting.ts'
import type { ServerConnection, TlsSetting } from './connection.ts'

const setting = new UrlSetting('DATABASE_URL')
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
    throw setting.invalid(
      'it must be like postgres://user:password@host:5432/database, with special characters of the password percent-encoded',
    )
  }
  const parameters = setting.parameters(url.searchParams, knownParameters)
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map((part) =>
    setting.decode(part),
  )
  const host = parameters.get('host') ?? setting.decode(url.hostname.replace(/^\[(.*)\]$/, '$1'))
  if (!user) throw setting.invalid('it names no user')
  if (!database || database.includes('/')) throw setting.invalid('it names no database')
  if (!host) throw setting.invalid('it names no host')
  // The separator of several hosts, of which libpq would try each.
  if (host.includes(',')) throw setting.invalid('it names several hosts. Name one')
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
      throw setting.invalid('its sslmode must be disable, require, verify-full or no-verify')
  }
}
