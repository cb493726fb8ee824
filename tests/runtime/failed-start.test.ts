import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test, vi } from 'vitest'
import { gatewayEnvironment, startKillableGateway } from '../security/killable-gateway.ts'
import { startPostgres } from '../support/postgres.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const script = fileURLToPath(new URL('../../gateway/bin/latchkey.js', import.meta.url))

// Whole processes start in every one of them.
vi.setConfig({ testTimeout: 60_000 })

test('a start that fails when the vault listens for changes already ends the process', async () => {
  const postgres = await startPostgres()
  onTestFinished(() => postgres.discard())
  const database = await postgres.createDatabase()
  const directory = temporaryDirectory()
  const env = { DATABASE_URL: postgres.url(database) }
  const before = startKillableGateway(directory, env)
  await before.ready()
  await before.stop()
  await postgres.query(
    database,
    `create function cut() returns trigger language plpgsql as
      $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
    create trigger cut before insert on vault_process for each row execute function cut()`,
  )
  const gateway = startKillableGateway(directory, env)
  await expect(gateway.logged('gateway.ready')).rejects.toThrow('ended: ')
  expect(gateway.output()).toContain('terminating connection')
})

test('a signal ends a process whose start has failed and that something keeps all the same', async () => {
  const directory = temporaryDirectory()
  const child = spawn(script, ['serve'], {
    env: gatewayEnvironment(directory, {
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      LATCHKEY_PRICES_FILE: join(directory, 'absent.json'),
      NODE_OPTIONS: '--import "data:text/javascript,setInterval(() => {}, 1000)"',
    }),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'close')
  await new Promise<void>((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.includes('LATCHKEY_PRICES_FILE')) resolve()
    })
  })
  child.kill('SIGTERM')
  expect(await ended).toEqual([null, 'SIGTERM'])
})
