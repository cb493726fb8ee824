import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemRandom } from '@latchkey/shared'
import { TokenFormat } from '@latchkey/vault'
import { expect, test } from 'vitest'
import { adminTokenFile, ensureAdminToken, readAdminToken } from '../../gateway/src/admin/token.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test('the token is made once, readable by its owner alone, in the grammar of admin tokens', () => {
  const directory = join(temporaryDirectory(), 'data')
  const token = ensureAdminToken(directory, systemRandom).reveal()
  expect(new TokenFormat().parse(token, 'admin').kind).toBe('ok')
  expect(statSync(adminTokenFile(directory)).mode & 0o777).toBe(0o600)
  expect(ensureAdminToken(directory, systemRandom).reveal()).toBe(token)
  expect(readAdminToken(directory)?.reveal()).toBe(token)
})

test('the prefix of the deployment is that of its admin token', () => {
  expect(ensureAdminToken(temporaryDirectory(), systemRandom, 'acme').reveal()).toMatch(/^acmea_/)
})

test('a token that others may read is refused, by name', () => {
  const directory = temporaryDirectory()
  ensureAdminToken(directory, systemRandom)
  chmodSync(adminTokenFile(directory), 0o644)
  expect(() => ensureAdminToken(directory, systemRandom)).toThrow(/admin\.token may be read by other users/)
})

test.each(['', '\n', 'short'])('a file that holds no token is never taken for one: %j', (text) => {
  const directory = temporaryDirectory()
  writeFileSync(adminTokenFile(directory), text, { mode: 0o600 })
  expect(() => readAdminToken(directory)).toThrow(/holds no admin token/)
})

test('no draft of the token is left behind', () => {
  const directory = temporaryDirectory()
  const token = ensureAdminToken(directory, systemRandom).reveal()
  expect(readFileSync(adminTokenFile(directory), 'utf8')).toBe(`${token}\n`)
  expect(statSync(adminTokenFile(directory)).nlink).toBe(1)
})
