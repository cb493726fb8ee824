import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import {
  type Cidr,
  LatchkeyError,
  type LogLevel,
  logLevels,
  parseCidr,
  parseDatabaseUrl,
  redact,
  Secret,
  type ServerConnection,
} from '@latchkey/shared'
import type { RootKeySource } from '@latchkey/vault'
import { canonicalBaseUrl } from '@latchkey/vault/base-url'
import { parseProviderSecret } from '@latchkey/vault/provider-secret'
import { readDataDirectory } from './data-directory.ts'
import { parseRedisUrl, type RedisConnection } from './redis-url.ts'

/** Everything that the environment decides, read once and frozen. Durations are milliseconds, sizes bytes. */
export interface Config {
  readonly dataDirectory: string
  readonly database: DatabaseSetting
  /** Null: what processes would share there, each keeps to itself. */
  readonly redis: RedisSetting | null
  /** Processes that serve on the same ports. */
  readonly workers: number
  readonly host: string
  readonly port: number
  readonly adminHost: string
  readonly adminPort: number
  readonly logLevel: LogLevel
  /** The prefix of every token that this deployment mints: `lk` gives `lk_…`, `lka_…`, `lkc_…`. */
  readonly keyPrefix: string
  readonly rootKey: RootKeySource
  readonly maxJsonBytes: number
  /** Request bodies held in memory, over all requests. */
  readonly maxBufferedBytes: number
  /** Requests whose record is not yet written. Each in flight takes one place before it is sent. */
  readonly recordQueuePlaces: number
  /** Where records wait when the database is away and memory runs short; below it, a directory for each process. */
  readonly spoolDirectory: string
  /** The most that one process keeps there. */
  readonly spoolBytes: number
  /** How long records are kept. */
  readonly retentionDays: number
  readonly allowUpstreamCidrs: readonly Cidr[]
  readonly trustedProxies: readonly Cidr[]
  /** Exact origins, or `['*']`; empty turns CORS off. */
  readonly corsOrigins: readonly string[]
  readonly upstreamConnections: number
  readonly connectTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly totalTimeoutMs: number
  readonly drainTimeoutMs: number
  /** How long snapshots are served while Postgres is away; 0 refuses at once. */
  readonly snapshotMaxAgeMs: number
  /** A file of prices that are laid over the built-in ones; null: none. */
  readonly pricesFile: string | null
  /** Who sends it may read the metrics, and nothing else; null: only who has the admin token. */
  readonly metricsToken: Secret | null
  /** Null: requests are not traced. */
  readonly tracing: TracingSetting | null
  /** Stored in the vault as provider key `openai` when the vault is made. */
  readonly firstOpenAiKey: { readonly secret: Secret; readonly baseUrl: string | null } | null
}

/** Where spans go, by the names that OpenTelemetry has for it (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). */
export interface TracingSetting {
  /** The traces URL of a collector that speaks OTLP over HTTP. */
  readonly url: string
  readonly headers: readonly { readonly name: string; readonly value: Secret }[]
  readonly serviceName: string
  /** The share of requests that are traced where their caller has not decided, from 0 to 1. */
  readonly ratio: number
}

/** Which Postgres: a private one in the data directory, or one that is there already. */
export type DatabaseSetting = { readonly kind: 'embedded' } | ServerDatabase

export interface ServerDatabase {
  readonly kind: 'server'
  readonly connection: ServerConnection
  /** A PEM file against which the server's certificate is checked; null: those that Node knows. */
  readonly authorityFile: string | null
  /** A file with the password, which is then not in the URL; null: none. */
  readonly passwordFile: string | null
  /** The most connections of the pool. One to listen and one for the heartbeat come on top. */
  readonly connections: number
}

/** A Redis that processes share. */
export interface RedisSetting {
  readonly connection: RedisConnection
  /** As that of the database. */
  readonly authorityFile: string | null
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads and checks every setting. Throws `invalid_config` naming the variable, and what it wants. */
export function readConfig(env: Environment): Config {
  const dataDirectory = readDataDirectory(env)
  const port = integer(env, 'LATCHKEY_PORT', 8787, 0, 65535)
  const adminPort = integer(env, 'LATCHKEY_ADMIN_PORT', 8788, 0, 65535)
  if (port === adminPort && port !== 0) {
    invalid('LATCHKEY_ADMIN_PORT', String(adminPort), 'a port other than LATCHKEY_PORT')
  }
  return Object.freeze({
    dataDirectory,
    database: databaseSetting(env),
    redis: redisSetting(env),
    workers: workerCount(env),
    host: text(env, 'LATCHKEY_HOST', '127.0.0.1'),
    port,
    adminHost: text(env, 'LATCHKEY_ADMIN_HOST', '127.0.0.1'),
    adminPort,
    logLevel: oneOf(env, 'LATCHKEY_LOG_LEVEL', logLevels, 'info'),
    keyPrefix: matching(
      env,
      'LATCHKEY_KEY_PREFIX',
      /^[a-z]{2,16}$/,
      'two to sixteen lower-case letters',
      'lk',
    ),
    rootKey: rootKeySetting(env, dataDirectory),
    maxJsonBytes: integer(env, 'LATCHKEY_MAX_JSON_BYTES', 32 * 2 ** 20, 1024, 2 ** 30),
    maxBufferedBytes: integer(env, 'LATCHKEY_MAX_BUFFERED_BYTES', 256 * 2 ** 20, 2 ** 20, 2 ** 36),
    recordQueuePlaces: integer(env, 'LATCHKEY_RECORD_QUEUE', 20_000, 10, 10_000_000),
    spoolDirectory: resolve(text(env, 'LATCHKEY_SPOOL_DIR', resolve(dataDirectory, 'spool'))),
    spoolBytes: integer(env, 'LATCHKEY_SPOOL_BYTES', 256 * 2 ** 20, 0, 2 ** 40),
    retentionDays: integer(env, 'LATCHKEY_RETENTION_DAYS', 90, 1, 730),
    allowUpstreamCidrs: cidrs(env, 'LATCHKEY_ALLOW_UPSTREAM_CIDRS'),
    trustedProxies: cidrs(env, 'LATCHKEY_TRUSTED_PROXIES'),
    corsOrigins: origins(env, 'LATCHKEY_CORS_ORIGINS'),
    upstreamConnections: integer(env, 'LATCHKEY_UPSTREAM_CONNECTIONS', 4096, 1, 1_000_000),
    connectTimeoutMs: integer(env, 'LATCHKEY_CONNECT_TIMEOUT_MS', 10_000, 1, 600_000),
    headersTimeoutMs: integer(env, 'LATCHKEY_HEADERS_TIMEOUT_MS', 600_000, 1, 86_400_000),
    idleTimeoutMs: integer(env, 'LATCHKEY_IDLE_TIMEOUT_MS', 300_000, 1, 86_400_000),
    totalTimeoutMs: integer(env, 'LATCHKEY_TOTAL_TIMEOUT_MS', 3_600_000, 1, 86_400_000),
    drainTimeoutMs: integer(env, 'LATCHKEY_DRAIN_TIMEOUT_MS', 30_000, 0, 86_400_000),
    snapshotMaxAgeMs: integer(env, 'LATCHKEY_SNAPSHOT_MAX_AGE_MS', 60_000, 0, 3_600_000),
    pricesFile: path(env, 'LATCHKEY_PRICES_FILE'),
    metricsToken: metricsToken(env),
    tracing: tracing(env),
    firstOpenAiKey: firstOpenAiKey(env),
  })
}

function invalid(variable: string, got: string, wants: string): never {
  throw new LatchkeyError('invalid_config', {
    message: `${variable} is ${JSON.stringify(redact(got))}, but it must be ${wants}.`,
    param: variable,
  })
}

/** An empty variable counts as unset: `FOO= npm start` is how people unset one. */
function text<Default extends string | null>(
  env: Environment,
  variable: string,
  unset: Default,
): string | Default {
  return env[variable] || unset
}

function path(env: Environment, variable: string): string | null {
  const value = text(env, variable, null)
  return value === null ? null : resolve(value)
}

function matching(env: Environment, variable: string, shape: RegExp, wants: string, unset: string): string {
  const value = text(env, variable, unset)
  return shape.test(value) ? value : invalid(variable, value, wants)
}

function integer(env: Environment, variable: string, unset: number, least: number, most: number): number {
  const value = text(env, variable, String(unset))
  const number = /^[0-9]{1,15}$/.test(value) ? Number(value) : Number.NaN
  return number >= least && number <= most
    ? number
    : invalid(variable, value, `a whole number from ${least} to ${most}`)
}

function oneOf<Choice extends string>(
  env: Environment,
  variable: string,
  choices: readonly Choice[],
  unset: Choice,
): Choice {
  const value = text(env, variable, unset)
  return (
    choices.find((choice) => choice === value) ?? invalid(variable, value, `one of ${choices.join(', ')}`)
  )
}

function list(env: Environment, variable: string): readonly string[] {
  return text(env, variable, '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function cidrs(env: Environment, variable: string): readonly Cidr[] {
  return list(env, variable).map(
    (item) =>
      parseCidr(item) ??
      invalid(variable, item, 'address blocks separated by commas, like 10.0.0.0/8,::1/128'),
  )
}

function origins(env: Environment, variable: string): readonly string[] {
  return list(env, variable).map((item) =>
    item === '*' || (URL.canParse(item) && new URL(item).origin === item)
      ? item
      : invalid(variable, item, 'origins separated by commas, like https://app.example.com, or *'),
  )
}

const mostWorkers = 64

function workerCount(env: Environment): number {
  const value = text(env, 'LATCHKEY_WORKERS', '1')
  const count =
    value === 'auto'
      ? Math.min(availableParallelism(), mostWorkers)
      : /^[0-9]{1,2}$/.test(value)
        ? Number(value)
        : 0
  if (count < 1 || count > mostWorkers)
    invalid('LATCHKEY_WORKERS', value, `a whole number from 1 to ${mostWorkers}, or auto`)
  if (value !== '1' && !env.DATABASE_URL) {
    throw new LatchkeyError('invalid_config', {
      message: `LATCHKEY_WORKERS (or --workers) is ${value}, and DATABASE_URL is not set. A gateway with a database of its own is one process: set DATABASE_URL, or unset the workers.`,
      param: 'LATCHKEY_WORKERS',
    })
  }
  return count
}

function redisSetting(env: Environment): RedisSetting | null {
  if (!env.REDIS_URL) return null
  if (!env.DATABASE_URL) {
    throw new LatchkeyError('invalid_config', {
      message:
        'REDIS_URL is set, and DATABASE_URL is not. A gateway with a database of its own shares nothing: unset the one, or set the other.',
      param: 'REDIS_URL',
    })
  }
  const connection = parseRedisUrl(new Secret(env.REDIS_URL))
  return { connection, authorityFile: path(env, 'LATCHKEY_REDIS_CA') }
}

function databaseSetting(env: Environment): DatabaseSetting {
  const connections = integer(env, 'LATCHKEY_DATABASE_CONNECTIONS', 10, 2, 1000)
  const authorityFile = path(env, 'LATCHKEY_DATABASE_CA')
  const passwordFile = path(env, 'LATCHKEY_DATABASE_PASSWORD_FILE')
  const url = text(env, 'DATABASE_URL', null)
  if (url === null) {
    // Whoever names a password or an authority means a server, and would get a database that nobody shares.
    if (authorityFile !== null) invalid('LATCHKEY_DATABASE_CA', authorityFile, 'unset where DATABASE_URL is')
    if (passwordFile !== null)
      invalid('LATCHKEY_DATABASE_PASSWORD_FILE', passwordFile, 'unset where DATABASE_URL is')
    return { kind: 'embedded' }
  }
  const connection = parseDatabaseUrl(new Secret(url))
  if (authorityFile !== null && connection.tls.kind !== 'verified') {
    invalid('LATCHKEY_DATABASE_CA', authorityFile, 'unset, or DATABASE_URL must say sslmode=verify-full')
  }
  if (passwordFile !== null && connection.password !== null) {
    invalid('LATCHKEY_DATABASE_PASSWORD_FILE', passwordFile, 'unset, or DATABASE_URL must name no password')
  }
  return { kind: 'server', connection, authorityFile, passwordFile, connections }
}

function rootKeySetting(env: Environment, dataDirectory: string): RootKeySource {
  const named = (['LATCHKEY_ROOT_KEY_FILE', 'LATCHKEY_ROOT_KEY', 'LATCHKEY_ROOT_PASSPHRASE'] as const).filter(
    (name) => env[name],
  )
  const [first, second] = named
  if (first && second) {
    throw new LatchkeyError('invalid_config', {
      message: `${first} and ${second} are both set. Name one source of the root key.`,
      param: second,
    })
  }
  const value = text(env, 'LATCHKEY_ROOT_KEY', null)
  if (value !== null) return { kind: 'value', value: new Secret(value) }
  const passphrase = text(env, 'LATCHKEY_ROOT_PASSPHRASE', null)
  if (passphrase !== null) return { kind: 'passphrase', passphrase: new Secret(passphrase) }
  return {
    kind: 'file',
    path: resolve(text(env, 'LATCHKEY_ROOT_KEY_FILE', resolve(dataDirectory, 'root.key'))),
  }
}

/** What it holds is never quoted: only what it should be. */
function metricsToken(env: Environment): Secret | null {
  const value = text(env, 'LATCHKEY_METRICS_TOKEN', null)
  if (value === null) return null
  if (/^[!-~]{16,512}$/.test(value)) return new Secret(value)
  throw new LatchkeyError('invalid_config', {
    message: 'LATCHKEY_METRICS_TOKEN must be 16 to 512 visible ASCII characters, without spaces.',
    param: 'LATCHKEY_METRICS_TOKEN',
  })
}

function tracing(env: Environment): TracingSetting | null {
  const endpoint = text(env, 'OTEL_EXPORTER_OTLP_ENDPOINT', null)
  if (endpoint === null) return null
  oneOf(env, 'OTEL_EXPORTER_OTLP_PROTOCOL', ['http/json'] as const, 'http/json')
  const base = URL.canParse(endpoint) ? new URL(endpoint) : null
  if (base === null || !/^https?:$/.test(base.protocol) || base.username !== '' || base.password !== '') {
    invalid(
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      endpoint,
      'the http or https URL of a collector, without a password',
    )
  }
  base.pathname = `${base.pathname.replace(/\/+$/, '')}/v1/traces`
  const share = text(env, 'OTEL_TRACES_SAMPLER_ARG', '1')
  const ratio = /^(?:0|1|0?\.[0-9]{1,9}|1\.0{1,9})$/.test(share) ? Number(share) : Number.NaN
  if (!(ratio >= 0)) invalid('OTEL_TRACES_SAMPLER_ARG', share, 'a number from 0 to 1')
  return {
    url: base.href,
    headers: exportHeaders(text(env, 'OTEL_EXPORTER_OTLP_HEADERS', '')),
    serviceName: text(env, 'OTEL_SERVICE_NAME', 'latchkey'),
    ratio,
  }
}

/** `name=value,name=value`, values percent-encoded. They are credentials: none is quoted. */
function exportHeaders(list: string): TracingSetting['headers'] {
  return list
    .split(',')
    .filter((pair) => pair.trim() !== '')
    .map((pair) => {
      const [, name, encoded] = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})\s*=\s*([!-~]*)\s*$/.exec(pair) ?? []
      const value = decoded(encoded ?? '')
      if (name !== undefined && value !== null && /^[ -~]+$/.test(value))
        return { name, value: new Secret(value) }
      throw new LatchkeyError('invalid_config', {
        message:
          'OTEL_EXPORTER_OTLP_HEADERS must be name=value pairs separated by commas, values percent-encoded.',
        param: 'OTEL_EXPORTER_OTLP_HEADERS',
      })
    })
}

function decoded(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return null
  }
}

function firstOpenAiKey(env: Environment): Config['firstOpenAiKey'] {
  const secret = text(env, 'OPENAI_API_KEY', null)
  const baseUrl = text(env, 'OPENAI_BASE_URL', null)
  if (secret === null) return null
  return {
    secret: checked('OPENAI_API_KEY', () => parseProviderSecret(new Secret(secret))),
    baseUrl: baseUrl === null ? null : checked('OPENAI_BASE_URL', () => canonicalBaseUrl(baseUrl)),
  }
}

/** What `parse` gives; its fault as one of `variable`. */
function checked<Value>(variable: string, parse: () => Value): Value {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof LatchkeyError)) throw error
    throw new LatchkeyError('invalid_config', {
      message: `${variable} is not valid: ${error.message}`,
      param: variable,
      cause: error,
    })
  }
}
