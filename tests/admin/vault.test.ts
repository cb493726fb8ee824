import { readFileSync } from 'node:fs'
import { Secret } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { addProviderKey, mint } from '../vault/fixture.ts'
import { startAdminServer } from './admin-server.ts'

test('the vault is shown without a byte of its keys', async () => {
  const { ask, vault, rootKeyPath } = await startAdminServer()
  const answer = await ask('GET', '/api/vault')
  expect(answer.body).toMatchObject({
    sealed: false,
    deploymentId: vault.deploymentId,
    rootKeySource: 'file',
    rootKeyId: expect.stringMatching(/^[0-9a-f]{32}$/),
  })
  expect(Object(answer.body).keyring).toContainEqual({ purpose: 'secret', version: 1, state: 'active' })
  expect(answer.text).not.toContain(readFileSync(rootKeyPath, 'utf8').trim())
})

test('sealing closes the vault, and unsealing reads the root key again', async () => {
  const { ask, vault } = await startAdminServer()
  expect(await ask('POST', '/api/vault/seal')).toMatchObject({
    status: 200,
    body: { sealed: true, keyring: [] },
  })
  expect(vault.sealed).toBe(true)
  expect(await ask('GET', '/api/vault')).toMatchObject({
    status: 200,
    body: { sealed: true, rootKeyId: null },
  })
  expect(await ask('GET', '/api/status')).toMatchObject({ status: 200, body: { vault: { sealed: true } } })
  expect(await ask('POST', '/api/vault/verify')).toMatchObject({ status: 503 })
  expect(await ask('POST', '/api/vault/unseal')).toMatchObject({ status: 200, body: { sealed: false } })
})

test('a passphrase that is wrong leaves the vault sealed, and is not quoted', async () => {
  const passphrase = 'correct horse battery staple'
  const { ask, logged } = await startAdminServer({
    // A passphrase can't open the keyring that a file made: the first start decides.
    vault: { rootKey: { kind: 'passphrase', passphrase: new Secret(passphrase) } },
  })
  await ask('POST', '/api/vault/seal')
  const refused = await ask('POST', '/api/vault/unseal', { body: { passphrase: 'wrong horse battery' } })
  expect(refused).toMatchObject({
    status: 409,
    body: { error: { code: 'conflict', details: { fault: 'root_key_wrong' } } },
  })
  expect(await ask('POST', '/api/vault/unseal', { body: { passphrase } })).toMatchObject({
    status: 200,
    body: { sealed: false },
  })
  expect([refused.text, ...logged].join()).not.toContain('horse')
})

test('verification opens every row and names those that were edited', async () => {
  const { ask, vault, database } = await startAdminServer()
  await addProviderKey(vault, 'main')
  await addProviderKey(vault, 'spare')
  const { key } = await mint(vault, ['main'])
  expect((await ask('POST', '/api/vault/verify')).body).toEqual({
    providerKeys: 2,
    proxyKeys: 1,
    bodyKeys: 0,
    damaged: [],
  })
  await database.pool.query(
    `UPDATE provider_key SET base_url = 'https://evil.example/v1' WHERE name = 'spare'`,
  )
  await database.pool.query(`UPDATE proxy_key SET policy = '{}' WHERE id = $1`, [key.id])
  expect((await ask('POST', '/api/vault/verify')).body).toMatchObject({
    damaged: [
      { kind: 'provider-key', name: 'spare' },
      { kind: 'proxy-key', id: key.id },
    ],
  })
})

test('rotation of the root key or the keyring leaves everything open', async () => {
  const { ask, vault } = await startAdminServer()
  await addProviderKey(vault, 'main')
  const before = Object((await ask('GET', '/api/vault')).body).rootKeyId
  const root = await ask('POST', '/api/vault/rotate-root')
  expect(root).toMatchObject({ status: 200, body: { rootKeyId: expect.not.stringMatching(before) } })
  expect((await ask('POST', '/api/vault/rotate-keyring', { body: { purpose: 'secret' } })).body).toEqual({
    rotated: [{ purpose: 'secret', version: 2, rows: 1 }],
  })
  expect(Object((await ask('POST', '/api/vault/rotate-keyring')).body).rotated).toHaveLength(5)
  expect((await ask('POST', '/api/vault/verify')).body).toMatchObject({ damaged: [] })
})
