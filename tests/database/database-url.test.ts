import { inspect } from 'node:util'
import { clientConfig, parseDatabaseUrl, Secret } from '@latchkey/shared'
import { expect, test } from 'vitest'

function parse(url: string) {
  const { password, ...rest } = parseDatabaseUrl(new Secret(url))
  return { ...rest, password: password?.reveal() ?? null }
}

test.each([
  [
    'postgres://u@h/d',
    { host: 'h', port: 5432, user: 'u', database: 'd', password: null, tls: { kind: 'off' } },
  ],
  ['postgresql://u:p%40%2F%3A@h:6000/d', { port: 6000, password: 'p@/:' }],
  ['postgres://u:p@[::1]:1/d', { host: '::1', port: 1 }],
  ['postgres://u@%2Frun%2Fpostgresql/d', { host: '/run/postgresql' }],
  ['postgres://u@localhost:7/d?host=/run/postgresql', { host: '/run/postgresql', port: 7 }],
  ['postgres://u:p@h/d?sslmode=disable', { tls: { kind: 'off' } }],
  ['postgres://u:p@h/d?sslmode=require', { tls: { kind: 'verified', authority: null } }],
  ['postgres://u:p@h/d?sslmode=verify-full', { tls: { kind: 'verified', authority: null } }],
  ['postgres://u:p@h/d?sslmode=no-verify', { tls: { kind: 'unverified' } }],
  ['postgres://u:p@h/d?channel_binding=require', { channelBinding: true }],
])('%s is understood', (url, expected) => {
  expect(parse(url)).toMatchObject(expected)
})

test.each([
  ['', 'must be like'],
  ['canary', 'must be like'],
  ['mysql://u:canary@h/d', 'must be like'],
  ['postgres://u:canary@h:port/d', 'must be like'],
  ['postgres://u:can/ary@h/d', 'must be like'],
  ['postgres://u:canary@h1:1,h2:2/d', 'must be like'],
  ['postgres://u:canary@h1,h2/d', 'several hosts'],
  ['postgres://h/d', 'no user'],
  ['postgres://u:canary@h', 'no database'],
  ['postgres://u:canary@h/', 'no database'],
  ['postgres://u:canary%zz@h/d', 'percent sign'],
  ['postgres://u:canary@h/d?sslmode=prefer', 'sslmode'],
  ['postgres://u:canary@h/d?pgbouncer=true', '"pgbouncer"'],
  ['postgres://u:canary@h/d?password=canary', '"password"'],
  ['postgres://u:canary@h/d?sslmode=require&sslmode=disable', '"sslmode"'],
])('%s is refused without being quoted', (url, why) => {
  expect(() => parse(url)).toThrow(
    expect.objectContaining({
      code: 'invalid_config',
      param: 'DATABASE_URL',
      message: expect.stringContaining(why),
      cause: undefined,
    }),
  )
  expect(() => parse(url)).toThrow(/^(?!.*canary)/)
})

test('what the driver is given shows no password, and no PGSSLMODE decides', () => {
  const config = clientConfig(parseDatabaseUrl(new Secret('postgres://u:canary@h/d')))
  expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('canary')
  expect(config).toMatchObject({ host: 'h', port: 5432, user: 'u', database: 'd', ssl: false })
})
