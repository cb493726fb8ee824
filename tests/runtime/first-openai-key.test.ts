import { expect, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'
import { startTestGateway } from '../support/gateway.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test('OPENAI_API_KEY is stored by the start that makes the vault, and stays removed afterwards', async () => {
  const LATCHKEY_DATA_DIR = temporaryDirectory()
  const env = {
    LATCHKEY_DATA_DIR,
    OPENAI_API_KEY: 'sk-first-0123456789',
    OPENAI_BASE_URL: 'https://EXAMPLE.com/v1/',
  }
  const first = await startTestGateway(env)
  const organization = first.vault.defaultOrganizationId
  const stored = await first.vault.providerKeys.list(organization)
  expect(stored).toMatchObject([{ name: 'openai', baseUrl: 'https://example.com/v1', maskedTail: '6789' }])
  await first.vault.providerKeys.remove(organization, 'openai', { revokeKeys: false })
  await first.stop()

  const second = await startTestGateway(env)
  expect(await second.vault.providerKeys.list(organization)).toEqual([])
  await second.stop()
})

test.each([
  ['OPENAI_BASE_URL', { OPENAI_API_KEY: 'sk-0123456789', OPENAI_BASE_URL: 'foo' }],
  ['OPENAI_API_KEY', { OPENAI_API_KEY: 'two words' }],
])('a bad %s stops the start and is named', (variable, env) => {
  expect(() => readConfig(env)).toThrow(expect.objectContaining({ code: 'invalid_config', param: variable }))
})
