import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { latchkey } from '../cli/latchkey-process.ts'
import { newSecret } from './canary.ts'
import { gatewayEnvironment, startKillableGateway } from './killable-gateway.ts'

// One for all: the settings are wrong before anything is kept, and a database need be made only once.
const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-test-'))
afterAll(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }))

const settings: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['a root key that is too short', { LATCHKEY_ROOT_KEY: 'SECRET' }],
  ['a root key and a passphrase', { LATCHKEY_ROOT_KEY: 'SECRET', LATCHKEY_ROOT_PASSPHRASE: 'SECRET' }],
  ['a provider key for a port', { LATCHKEY_PORT: 'sk-SECRET' }],
  ['a proxy key for a log level', { LATCHKEY_LOG_LEVEL: 'lk_SECRET' }],
  ['a database URL', { DATABASE_URL: 'postgres://latchkey:SECRET@host/db' }],
  ['a Redis URL', { REDIS_URL: 'redis://:SECRET@host' }],
  ['a provider key with a space', { OPENAI_API_KEY: 'SECRET x' }],
  [
    'a base URL with a password',
    { OPENAI_API_KEY: 'SECRET', OPENAI_BASE_URL: 'https://user:SECRET@host/v1' },
  ],
]

test.each(settings)(
  '%s is refused at the start, and printed neither there nor by the doctor',
  async (_what, env) => {
    const secret = newSecret()
    const planted = Object.fromEntries(
      Object.entries(env).map(([name, text]) => [name, text.replace('SECRET', secret)]),
    )
    const gateway = startKillableGateway(directory, planted)
    await expect(gateway.ready()).rejects.toThrow()
    const doctor = await latchkey(['doctor'], gatewayEnvironment(directory, planted))
    expect(gateway.output()).not.toBe('')
    expect(gateway.output() + doctor.stdout + doctor.stderr).not.toContain(secret)
  },
)
