import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Secret } from '@latchkey/shared'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parseRedisUrl } from '../../gateway/src/redis-url.ts'
import { connectRedis, type RedisHandle } from '../../gateway/src/runtime/redis.ts'
import { freePort } from '../support/free-port.ts'
import { type RecordedLog, recordLog } from '../support/recorded-log.ts'
import { startRedis, type TestRedis, type TestRedisOptions } from '../support/redis.ts'

const password = 'canary-9f2c'

describe('a Redis URL', () => {
  test.each([
    ['redis://localhost', { kind: 'single', address: { host: 'localhost', port: 6379 }, database: 0 }],
    ['redis://10.0.0.1:7000/3', { kind: 'single', address: { host: '10.0.0.1', port: 7000 }, database: 3 }],
    ['redis://[::1]:7000/', { kind: 'single', address: { host: '::1', port: 7000 }, database: 0 }],
    [
      'redis+sentinel://a,b:1234/main/2?sentinel_username=watch&sentinel_password=x',
      {
        kind: 'sentinel',
        sentinels: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 1234 },
        ],
        sentinelCredentials: { user: 'watch', password: new Secret('x') },
        master: 'main',
        database: 2,
      },
    ],
    [
      'redis+cluster://a:7000,[::1]:7001',
      {
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 7000 },
          { host: '::1', port: 7001 },
        ],
      },
    ],
  ])('%s says where to connect', (url, place) => {
    expect(parseRedisUrl(new Secret(url))).toEqual({
      place,
      credentials: { user: null, password: null },
      tls: false,
    })
  })

  test.each(['rediss://host', 'rediss+sentinel://host/main', 'rediss+cluster://host'])(
    'that begins with rediss asks for TLS: %s',
    (url) => {
      expect(parseRedisUrl(new Secret(url)).tls).toBe(true)
    },
  )

  test.each([
    [`:${password}@`, null, password],
    [`alice:${password}@`, 'alice', password],
    ['al%40ice:p%40%2F%3A@', 'al@ice', 'p@/:'],
  ])('has user and password: %s', (login, user, expected) => {
    const { credentials } = parseRedisUrl(new Secret(`redis://${login}host:1`))
    expect(credentials.user).toBe(user)
    expect(credentials.password?.reveal()).toBe(expected)
  })

  test.each([
    `http://:${password}@host`,
    `redis:/:${password}@host`,
    `redis://${password}@`,
    `redis://${password}@host`,
    `redis://:${password}@host:0`,
    `redis://:${password}@host:70000`,
    `redis://:${password}@host:port`,
    `redis://:${password}@one,two`,
    `redis://:${password}@host/one`,
    `redis://:${password}@host/0/1`,
    `redis://:${password}%@host`,
    `redis://:${password}/@host`,
    `redis://:${password}@host?db=1`,
    `redis+sentinel://:${password}@host`,
    `redis+sentinel://:${password}@host/main/x`,
    `redis+sentinel://:${password}@host/main?password=${password}`,
    `redis+sentinel://:${password}@host/main?sentinel_password=a&sentinel_password=${password}`,
    `redis+cluster://:${password}@host/1`,
    `redis+socket://:${password}@host`,
    '',
  ])('that is none is refused, and not quoted: %s', (url) => {
    let thrown: unknown
    try {
      parseRedisUrl(new Secret(url))
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({ code: 'invalid_config', param: 'REDIS_URL' })
    expect(String(thrown)).not.toContain(password)
  })
})

const file = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url))
const authority = readFileSync(file('authority.pem'), 'utf8')
const certificates = ['--tls-cert-file', file('server.pem'), '--tls-key-file', file('server.key')]

async function started(options: TestRedisOptions): Promise<TestRedis> {
  const redis = await startRedis(options)
  onTestFinished(() => redis.discard())
  return redis
}

async function startedWithTls(): Promise<{ readonly tlsPort: number }> {
  const redis = await started({
    settings: ['--tls-ca-cert-file', file('authority.pem'), '--tls-auth-clients', 'no', ...certificates],
  })
  const tlsPort = await freePort()
  await redis.command('CONFIG', 'SET', 'tls-port', String(tlsPort))
  return { tlsPort }
}

function connect(url: string, trusted: string | null = null): { handle: RedisHandle; log: RecordedLog } {
  const log = recordLog()
  const options = { authority: trusted, commandTimeoutMs: 1000, connectionName: 'gateway' }
  const handle = connectRedis(parseRedisUrl(new Secret(url)), options, log)
  onTestFinished(() => handle.close())
  return { handle, log }
}

describe('a connection', () => {
  test('logs in, chooses its database and has a name', async () => {
    const redis = await started({ settings: ['--requirepass', password], password })
    const { handle } = connect(`redis://:${password}@127.0.0.1:${redis.port}/5`)
    expect(await handle.ready(20_000)).toBe(true)
    expect(await handle.client.client('INFO')).toMatch(/ name=gateway .* db=5 /)
  })

  test('that is refused says so once, and shows no password', async () => {
    const redis = await started({ settings: ['--requirepass', 'another'], password: 'another' })
    const { handle, log } = connect(`redis://:${password}@127.0.0.1:${redis.port}`)
    await log.next('redis.connection_lost')
    expect(await handle.ready(1000)).toBe(false)
    expect(log.events.map(({ event }) => event)).toEqual(['redis.connection_lost'])
    expect(log.events[0]?.fields.errorMessage).toMatch(/WRONGPASS/)
    expect(JSON.stringify(log.events)).not.toContain(password)
  })

  test('by TLS is made where the certificate is of an authority that is known', async () => {
    const { tlsPort } = await startedWithTls()
    const { handle } = connect(`rediss://localhost:${tlsPort}`, authority)
    expect(await handle.ready(20_000)).toBe(true)
  })

  test('by TLS is not made where the certificate is of an unknown authority', async () => {
    const { tlsPort } = await startedWithTls()
    const { handle, log } = connect(`rediss://localhost:${tlsPort}`)
    await log.next('redis.connection_lost')
    expect(log.events[0]?.fields.errorCode).toMatch(/CERT|SIGNATURE|ISSUER/)
    expect(handle.client.status).not.toBe('ready')
  })

  test('by sentinels goes to the master that they name, and to its successor', async () => {
    const [first, second] = [await started({}), await started({})]
    await second.command('REPLICAOF', '127.0.0.1', String(first.port))
    const sentinel = await started({
      sentinel: [
        `sentinel monitor main 127.0.0.1 ${first.port} 1`,
        'sentinel down-after-milliseconds main 500',
        'sentinel failover-timeout main 2000',
      ],
    })
    const { handle, log } = connect(`redis+sentinel://127.0.0.1:${sentinel.port}/main`)
    expect(await handle.ready(20_000)).toBe(true)
    expect(await handle.client.config('GET', 'port')).toEqual(['port', String(first.port)])
    // Without a replica that it knows of, the sentinel would have none to promote.
    await expect.poll(() => sentinel.command('SENTINEL', 'REPLICAS', 'main')).toHaveLength(1)
    const again = log.next('redis.connected')
    await first.kill()
    await again
    expect(await handle.client.config('GET', 'port')).toEqual(['port', String(second.port)])
  })

  test('that is lost rejects commands at once, keeps none for later, and comes back', async () => {
    const redis = await started({})
    const { handle, log } = connect(redis.url)
    await handle.ready(20_000)
    const lost = log.next('redis.connection_lost')
    await redis.kill()
    await lost
    await expect(handle.client.set('later', '1')).rejects.toThrow()
    const back = log.next('redis.connected')
    await redis.start()
    await back
    expect(await handle.client.exists('later')).toBe(0)
  })

  test('that was cut with a command on its way does not send it twice', async () => {
    const redis = await started({})
    const { handle, log } = connect(redis.url)
    await handle.ready(20_000)
    await redis.command('CLIENT', 'PAUSE', '20000', 'WRITE')
    const counted = handle.client.incr('count')
    const rejected = expect(counted).rejects.toThrow()
    const back = log.next('redis.connected')
    await redis.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await rejected
    await back
    await redis.command('CLIENT', 'UNPAUSE')
    expect(await handle.client.get('count')).toBeNull()
  })

  test('whose server hangs fails a command in its time', async () => {
    const redis = await started({})
    const { handle } = connect(redis.url)
    await handle.ready(20_000)
    redis.freeze()
    await expect(handle.client.get('x')).rejects.toThrow('timed out')
    redis.thaw()
  })
})
