import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { gatewayEnvironment, serversOf } from '../security/killable-gateway.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const script = fileURLToPath(new URL('../../gateway/bin/latchkey.js', import.meta.url))

test.each([['SIGINT'], ['SIGTERM']] as const)(
  'a %s that a process group gets, and npm passes on once more, ends gateway and database once and cleanly',
  { timeout: 60_000 },
  async (signal) => {
    const directory = temporaryDirectory()
    const child = spawn(script, ['serve'], {
      detached: true,
      env: gatewayEnvironment(directory),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { pid } = child
    if (pid === undefined) throw new Error('the process did not start')
    const ended = once(child, 'close')
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        output += `${line}\n`
        if (!line.includes('"gateway.ready"')) return
        process.kill(-pid, signal)
        child.kill(signal)
      })
    }
    const [status] = await ended
    expect(status, output).toBe(0)
    expect(output.match(/"gateway\.stopping"/g)).toHaveLength(1)
    expect(serversOf(directory)).toEqual([])
  },
)

test('a start that fails while the database is being started leaves none behind', {
  timeout: 60_000,
}, async () => {
  const directory = temporaryDirectory()
  const env = gatewayEnvironment(directory, { LATCHKEY_PRICES_FILE: join(directory, 'absent.json') })
  const child = spawn(script, ['serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
  }
  const [status] = await once(child, 'close')
  expect(status, output).toBe(78)
  expect(output).toContain('LATCHKEY_PRICES_FILE')
  expect(existsSync(join(directory, 'postgres', 'PG_VERSION'))).toBe(true)
  expect(serversOf(directory)).toEqual([])
})
