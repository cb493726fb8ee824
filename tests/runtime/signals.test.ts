import { spawn } from 'node:child_process'
import { once } from 'node:events'
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
