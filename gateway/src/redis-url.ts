import { Secret, UrlSetting } from '@latchkey/shared'

const setting = new UrlSetting('REDIS_URL')

export interface RedisAddress {
  readonly host: string
  readonly port: number
}

/** What a server or a sentinel asks of whoever connects. */
export interface RedisCredentials {
  /** Null: the default user. */
  readonly user: string | null
  /** Null: none is asked for. */
  readonly password: Secret | null
}

/** Which Redis, and how to log in. */
export interface RedisConnection {
  readonly place:
    | { readonly kind: 'single'; readonly address: RedisAddress; readonly database: number }
    | {
        readonly kind: 'sentinel'
        readonly sentinels: readonly RedisAddress[]
        readonly sentinelCredentials: RedisCredentials
        /** The name by which the sentinels know the master. */
        readonly master: string
        readonly database: number
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly RedisAddress[] }
  readonly credentials: RedisCredentials
  /** To servers and sentinels alike. */
  readonly tls: boolean
}

const defaultPorts = { single: 6379, sentinel: 26_379, cluster: 6379 } as const
const schemes = /^redis(?<tls>s)?(?:\+(?<kind>sentinel|cluster))?$/
const shape =
  /^(?<scheme>[a-z+]+):\/\/(?:(?<login>[^/?#]*)@)?(?<hosts>[^/?#@]+)(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/

/**
 * Reads a Redis URL: `redis://user:password@host:6379/0`
 * (https://www.iana.org/assignments/uri-schemes/prov/redis), `redis+sentinel://host:26379,host:26379/master/0`,
 * whose sentinels are logged in to with `?sentinel_username=…&sentinel_password=…`, or
 * `redis+cluster://host:6379,host:6379`; `rediss` instead of `redis` is TLS. User and password may be left out.
 * Throws `invalid_config`, whose message quotes nothing of the URL but names of parameters.
 */
export function parseRedisUrl(text: Secret): RedisConnection {
  const parts = shape.exec(text.reveal())?.groups
  const scheme = schemes.exec(parts?.scheme ?? '')?.groups
  if (parts === undefined || scheme === undefined) {
    throw setting.invalid(
      'it must be like redis://user:password@host:6379/0, redis+sentinel://host:26379,host:26379/master or redis+cluster://host:6379,host:6379 (rediss for TLS), with special characters of the password percent-encoded',
    )
  }
  const kind = kindOf(scheme.kind)
  const addresses = (parts.hosts ?? '').split(',').map((each) => readAddress(each, defaultPorts[kind]))
  const path = (parts.path ?? '').split('/').filter((each) => each !== '')
  const parameters = setting.parameters(
    new URLSearchParams(parts.query ?? ''),
    kind === 'sentinel' ? ['sentinel_username', 'sentinel_password'] : [],
  )
  return {
    place: readPlace(kind, addresses, path, parameters),
    credentials: readLogin(parts.login ?? ''),
    tls: scheme.tls !== undefined,
  }
}

type Kind = RedisConnection['place']['kind']

function kindOf(name: string | undefined): Kind {
  return name === 'sentinel' || name === 'cluster' ? name : 'single'
}

function readPlace(
  kind: Kind,
  addresses: readonly RedisAddress[],
  path: readonly string[],
  parameters: ReadonlyMap<string, string>,
): RedisConnection['place'] {
  const [first, second] = path
  switch (kind) {
    case 'single': {
      const [address, other] = addresses
      if (address === undefined || other !== undefined)
        throw setting.invalid('it names several hosts, which redis+sentinel and redis+cluster do')
      if (second !== undefined) throw setting.invalid('its path must be the number of a database')
      return { kind, address, database: readDatabase(first) }
    }
    case 'sentinel': {
      if (first === undefined || path.length > 2)
        throw setting.invalid(
          'its path must be the name of the master, and may end with the number of a database',
        )
      const password = parameters.get('sentinel_password')
      const sentinelCredentials = {
        user: parameters.get('sentinel_username') ?? null,
        password: password === undefined ? null : new Secret(password),
      }
      const database = readDatabase(second)
      return { kind, sentinels: addresses, sentinelCredentials, master: setting.decode(first), database }
    }
    case 'cluster':
      if (first !== undefined && (first !== '0' || second !== undefined))
        throw setting.invalid('a cluster has no other database than 0')
      return { kind, nodes: addresses }
    default:
      return kind satisfies never
  }
}

function readLogin(login: string): RedisCredentials {
  const colon = login.indexOf(':')
  const user = setting.decode(colon === -1 ? login : login.slice(0, colon))
  const password = colon === -1 ? '' : setting.decode(login.slice(colon + 1))
  if (user !== '' && password === '')
    throw setting.invalid('it names a user and no password. A password alone is written as :password@')
  return { user: user === '' ? null : user, password: password === '' ? null : new Secret(password) }
}

function readAddress(text: string, defaultPort: number): RedisAddress {
  const parts = /^(?:\[(?<six>[0-9A-Fa-f:.]+)\]|(?<name>[^:[\]]+))(?::(?<port>[0-9]{1,5}))?$/.exec(
    text,
  )?.groups
  const host = parts?.six ?? parts?.name
  const port = Number(parts?.port ?? defaultPort)
  if (host === undefined || port < 1 || port > 65_535)
    throw setting.invalid('it names no host, or a port that is none')
  return { host, port }
}

function readDatabase(text: string | undefined): number {
  if (text === undefined) return 0
  if (!/^[0-9]{1,5}$/.test(text)) throw setting.invalid('its database must be a number')
  return Number(text)
}
