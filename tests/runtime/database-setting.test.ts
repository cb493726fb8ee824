import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'

const url = 'postgres://latchkey:canary@db.example.com/latchkey'

test('without DATABASE_URL, or with an empty one, the database is embedded', () => {
  expect(readConfig({}).database).toEqual({ kind: 'embedded' })
  expect(readConfig({ DATABASE_URL: '' }).database).toEqual({ kind: 'embedded' })
})

test('DATABASE_URL selects a server, with ten connections unless told otherwise, and is not shown', () => {
  const config = readConfig({ DATABASE_URL: url })
  expect(config.database).toMatchObject({
    kind: 'server',
    connections: 10,
    authorityFile: null,
    connection: { host: 'db.example.com', port: 5432, user: 'latchkey', database: 'latchkey' },
  })
  expect(inspect(config, { depth: 9 }) + JSON.stringify(config.database)).not.toContain('canary')
  expect(readConfig({ DATABASE_URL: url, LATCHKEY_DATABASE_CONNECTIONS: '25' }).database).toMatchObject({
    connections: 25,
  })
})

test.each([
  ['REDIS_URL', { REDIS_URL: 'redis://:canary@h' }],
  ['REDIS_URL', { REDIS_URL: 'http://:canary@h', DATABASE_URL: url }],
  ['DATABASE_URL', { DATABASE_URL: 'canary' }],
  ['LATCHKEY_DATABASE_CONNECTIONS', { DATABASE_URL: url, LATCHKEY_DATABASE_CONNECTIONS: '1' }],
  ['LATCHKEY_DATABASE_CONNECTIONS', { DATABASE_URL: url, LATCHKEY_DATABASE_CONNECTIONS: 'many' }],
])('%s is refused where it can not be honoured: %o', (param, env) => {
  expect(() => readConfig(env)).toThrow(
    expect.objectContaining({
      code: 'invalid_config',
      param,
      message: expect.not.stringContaining('canary'),
    }),
  )
})
