import type pg from 'pg'
import type { Secret } from '../secret.ts'

/** A Postgres on this machine that is reached through its Unix socket and asks for no password. */
export interface SocketConnection {
  /** The directory that holds the socket. */
  readonly host: string
  /** Names the socket in the directory; nothing listens on a port. */
  readonly port: number
  readonly user: string
  readonly database: string
}

/** A Postgres that somebody else runs, as its URL names it. */
export interface ServerConnection {
  /** A name, an address, or the directory of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  /** Null: the server asks for none, or a `.pgpass` file has it. */
  readonly password: Secret | null
  readonly database: string
  readonly tls: TlsSetting
  /** Binds the password's proof to the TLS session, where the server offers it (RFC 5802, SCRAM-SHA-256-PLUS). */
  readonly channelBinding: boolean
}

/** What is asked of the way to a server. */
export type TlsSetting =
  | { readonly kind: 'off' }
  /** Certificate and name are checked, against this authority (PEM) or, where it is null, those that Node knows. */
  | { readonly kind: 'verified'; readonly authority: string | null }
  /** Encrypted, for whoever answers. */
  | { readonly kind: 'unverified' }

export type DatabaseConnection = SocketConnection | ServerConnection

/** What `pg` wants to know. Whoever opens a connection asks here, so that all are opened alike. */
export function clientConfig(connection: DatabaseConnection): pg.ClientConfig {
  const { host, port, user, database } = connection
  const place = { host, port, user, database }
  // Never undefined: PGSSLMODE in the environment must not decide.
  if (!('tls' in connection)) return { ...place, ssl: false }
  const { password, tls, channelBinding } = connection
  return {
    ...place,
    ...(password === null ? {} : { password: () => password.reveal() }),
    ssl: tlsConfig(tls),
    enableChannelBinding: channelBinding,
  }
}

function tlsConfig(tls: TlsSetting): Exclude<pg.ClientConfig['ssl'], undefined> {
  switch (tls.kind) {
    case 'off':
      return false
    case 'verified':
      return tls.authority === null ? true : { ca: tls.authority }
    case 'unverified':
      return { rejectUnauthorized: false }
    default:
      return tls satisfies never
  }
}

/** Whether what is sent stays on this machine. */
export function isLocal({ host }: DatabaseConnection): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127\./.test(host)
}
