import { resolve } from 'node:path'
import {
  type Cidr,
  LatchkeyError,
  type LogLevel,
  logLevels,
  parseCidr,
  redact,
  Secret,
} from '@latchkey/shared'
import { canonicalBaseUrl, parseProviderSecret, type RootKeySource } from '@latchkey/vault'

/** Everything that the environment decides, read once and frozen. Durations are milliseconds, sizes bytes. */
export interface Config {
  readonly dataDirectory: string
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
  /** Stored in the vault as provider key `openai` when the vault is made. */
  readonly firstOpenAiKey: { readonly secret: Secret; readonly baseUrl: string | null } | null
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads and checks every setting. Throws `invalid_config` naming the variable, and what it wants. */
export function readConfig(env: Environment): Config {
  if (env.DATABASE_URL || env.REDIS_URL) {
    throw new LatchkeyError('invalid_config', {
      message:
        'DATABASE_URL and REDIS_URL select server mode, which this release does not have. Unset them to run on the embedded database.',
      param: env.DATABASE_URL ? 'DATABASE_URL' : 'REDIS_URL',
    })
  }
  const dataDirectory = resolve(text(env, 'LATCHKEY_DATA_DIR', '.latchkey'))
  const port = integer(env, 'LATCHKEY_PORT', 8787, 0, 65535)
  const adminPort = integer(env, 'LATCHKEY_ADMIN_PORT', 8788, 0, 65535)
  if (port === adminPort && port !== 0) {
    invalid('LATCHKEY_ADMIN_PORT', String(adminPort), 'a port other than LATCHKEY_PORT')
  }
  return Object.freeze({
    dataDirectory,
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
    firstOpenAiKey: firstOpenAiKey(env),
  })
}

/** What the CLI needs to find a gateway: the data directory, and where the environment says to talk. */
export function readDataDirectory(env: Environment): string {
  return resolve(text(env, 'LATCHKEY_DATA_DIR', '.latchkey'))
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
