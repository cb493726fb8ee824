import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { readConfig, type ServerDatabase } from '../../gateway/src/config.ts'
import { readServerConnection } from '../../gateway/src/runtime/server.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

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
  // A server is meant, and none is named.
  ['LATCHKEY_DATABASE_PASSWORD_FILE', { LATCHKEY_DATABASE_PASSWORD_FILE: '/absent' }],
  ['LATCHKEY_DATABASE_CA', { LATCHKEY_DATABASE_CA: '/absent' }],
  // Two passwords.
  ['LATCHKEY_DATABASE_PASSWORD_FILE', { DATABASE_URL: url, LATCHKEY_DATABASE_PASSWORD_FILE: '/absent' }],
])('%s is refused where it can not be honoured: %o', (param, env) => {
  expect(() => readConfig(env)).toThrow(
    expect.objectContaining({
      code: 'invalid_config',
      param,
      message: expect.not.stringContaining('canary'),
    }),
  )
})

test.each([
  ['canary', 'canary'],
  ['canary\n', 'canary'],
  ['canary \r\nsecond line', 'canary '],
])('the password may be the first line of a file: %j', (content, password) => {
  const file = join(temporaryDirectory(), 'password')
  writeFileSync(file, content)
  const connection = readServerConnection(passwordIn(file))
  expect(connection.password?.reveal()).toBe(password)
  expect(inspect(connection, { depth: 9 })).not.toContain('canary')
})

test.each(['', '\ncanary'])('a file without a password is refused, and not quoted: %j', (content) => {
  const file = join(temporaryDirectory(), 'password')
  expect(() => readServerConnection(passwordIn(file))).toThrow(/can be read and holds a password/)
  writeFileSync(file, content)
  expect(() => readServerConnection(passwordIn(file))).toThrow(
    expect.objectContaining({ code: 'invalid_config', message: expect.not.stringContaining('canary') }),
  )
})

function passwordIn(file: string): ServerDatabase {
  const { database } = readConfig({
    DATABASE_URL: 'postgres://latchkey@db.example.com/latchkey',
    LATCHKEY_DATABASE_PASSWORD_FILE: file,
  })
  if (database.kind === 'embedded') throw new Error('no server')
  return database
}
