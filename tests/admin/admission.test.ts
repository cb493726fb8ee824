import { Secret, systemRandom } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import { addProviderKey, mint } from '../vault/fixture.ts'
import { startAdminServer } from './admin-server.ts'

describe('whoever has no admin token', () => {
  test('is refused with 401 invalid_admin_token, whatever they send instead', async () => {
    const { ask, token } = await startAdminServer()
    const cases: readonly (readonly [string, Readonly<Record<string, string | undefined>>])[] = [
      ['no header', { authorization: undefined }],
      ['an empty bearer', { authorization: 'Bearer ' }],
      ['another scheme', { authorization: `Basic ${token}` }],
      ['no scheme', { authorization: token }],
      ['one character short', { authorization: `Bearer ${token.slice(0, -1)}` }],
      ['one character long', { authorization: `Bearer ${token}0` }],
      ['other letters', { authorization: `Bearer ${token.toUpperCase()}` }],
      ['two tokens', { authorization: `Bearer ${token} ${token}` }],
      ['another header', { authorization: undefined, 'x-api-key': token }],
      ['a very long one', { authorization: `Bearer ${'a'.repeat(8000)}` }],
    ]
    for (const [title, headers] of cases) {
      expect.soft(await ask('GET', '/api/keys', { headers }), title).toMatchObject({
        status: 401,
        headers: { 'www-authenticate': expect.stringContaining('Bearer') },
        body: { error: { code: 'invalid_admin_token', param: null, details: null } },
      })
    }
    expect((await ask('GET', '/api/keys')).status).toBe(200)
  })

  test('is refused with a proxy key, which works on the data plane', async () => {
    const server = await startAdminServer()
    await addProviderKey(server.vault, 'main')
    const { token } = await mint(server.vault, ['main'])
    const answer = await server.ask('GET', '/api/status', { headers: { authorization: `Bearer ${token}` } })
    expect(answer).toMatchObject({ status: 401, body: { error: { code: 'invalid_admin_token' } } })
    expect(answer.text).not.toContain(token)
  })

  test('learns nothing about which paths and methods exist', async () => {
    const { ask } = await startAdminServer()
    const headers = { authorization: undefined }
    for (const [method, path] of [
      ['GET', '/api/nothing'],
      ['DELETE', '/api/keys'],
      ['GET', '/'],
    ] as const) {
      expect((await ask(method, path, { headers })).status).toBe(401)
    }
  })
})

describe('a page of a browser', () => {
  test('is refused with 403, even with the token', async () => {
    const { ask } = await startAdminServer()
    for (const headers of [
      { host: 'evil.example' },
      { host: 'evil.example:8788' },
      { host: '127.0.0.1.evil.example' },
      { host: 'localhost.evil.example' },
      { origin: 'http://evil.example' },
      { origin: 'http://127.0.0.1:8788' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      expect.soft(await ask('GET', '/api/status', { headers }), JSON.stringify(headers)).toMatchObject({
        status: 403,
        body: { error: { code: 'permission_denied' } },
      })
    }
  })

  test('is not taken for a request to this machine, an address, or the configured host', async () => {
    const { ask } = await startAdminServer({ adminHost: 'gateway.internal' })
    const own = ['localhost', 'localhost:8788', 'LOCALHOST', '127.0.0.1', '[::1]:8788', '192.168.1.5:8788']
    for (const host of [...own, 'gateway.internal:8788']) {
      expect.soft((await ask('GET', '/api/status', { headers: { host } })).status, host).toBe(200)
    }
    expect((await ask('GET', '/api/status', { headers: { host: 'other.internal' } })).status).toBe(403)
  })
})

describe('every answer', () => {
  test('may not be stored by anybody', async () => {
    const { ask } = await startAdminServer()
    for (const path of ['/api/status', '/api/nothing']) {
      expect((await ask('GET', path)).headers['cache-control']).toBe('no-store')
    }
    const refused = await ask('GET', '/api/status', { headers: { authorization: undefined } })
    expect(refused.headers['cache-control']).toBe('no-store')
  })

  test('to a path that is not listed is 404', async () => {
    const { ask } = await startAdminServer()
    for (const path of ['/', '/api', '/api/nothing', '/api/keys/a/b/c', '/v1/models']) {
      expect.soft(await ask('GET', path), path).toMatchObject({
        status: 404,
        body: { error: { code: 'not_found' } },
      })
    }
  })

  test('to a method that a path does not have is 405, with those that it has', async () => {
    const { ask } = await startAdminServer()
    for (const [method, path, allowed] of [
      ['DELETE', '/api/keys', ['GET', 'HEAD', 'POST']],
      ['PUT', '/api/status', ['GET', 'HEAD']],
      ['GET', '/api/vault/seal', ['POST']],
      ['POST', '/api/provider-keys/main', ['DELETE', 'GET', 'HEAD', 'PATCH']],
    ] as const) {
      const answer = await ask(method, path)
      expect
        .soft(answer, path)
        .toMatchObject({ status: 405, body: { error: { code: 'method_not_allowed' } } })
      expect.soft(answer.headers.allow?.split(', ').sort(), path).toEqual([...allowed])
    }
  })
})

describe('metrics', () => {
  const metricsToken = new Secret('for the scraper alone'.replaceAll(' ', '-'))
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

  test('are for the admin token and the token for metrics, which opens nothing else', async () => {
    const { ask } = await startAdminServer({ metricsToken })
    const page = { status: 200, text: 'latchkey_example 1\n' }
    expect(await ask('GET', '/metrics')).toMatchObject(page)
    const scraper = bearer(metricsToken.reveal())
    const answer = await ask('GET', '/metrics', scraper)
    expect(answer).toMatchObject(page)
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      'cache-control': 'no-store',
    })
    for (const path of ['/api/status', '/api/metrics', '/'])
      expect.soft((await ask('GET', path, scraper)).status, path).toBe(401)
  })

  test('are for nobody else', async () => {
    const { ask, vault } = await startAdminServer({ metricsToken })
    const proxyKey = vault.tokens.mint('proxy', systemRandom).token.reveal()
    const wrong = [`${metricsToken.reveal()}x`, metricsToken.reveal().slice(1), proxyKey, '']
    for (const token of wrong) expect.soft((await ask('GET', '/metrics', bearer(token))).status).toBe(401)
    const bare = await ask('GET', '/metrics', { headers: { authorization: undefined } })
    expect(bare).toMatchObject({ status: 401, body: { error: { code: 'invalid_admin_token' } } })
    expect(bare.text).not.toContain('latchkey_')
    const without = await startAdminServer()
    expect((await without.ask('GET', '/metrics', bearer(metricsToken.reveal()))).status).toBe(401)
  })

  test('are scraped by whatever name a network has for the gateway', async () => {
    const { ask } = await startAdminServer({ metricsToken })
    expect((await ask('GET', '/metrics', { headers: { host: 'gateway:8788' } })).status).toBe(200)
  })

  test('can only be read', async () => {
    const { ask } = await startAdminServer({ metricsToken })
    expect(await ask('POST', '/metrics', { body: {} })).toMatchObject({
      status: 405,
      body: { error: { code: 'method_not_allowed' } },
    })
    const bare = await ask('POST', '/metrics', { headers: { authorization: undefined } })
    expect(bare.status).toBe(401)
  })
})
