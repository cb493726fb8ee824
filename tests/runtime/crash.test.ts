import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { gatewayEnvironment, serversOf } from '../security/killable-gateway.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const script = fileURLToPath(new URL('./crashing-gateway-main.ts', import.meta.url))

test('a gateway that crashes says once where, without secrets, and its Postgres stops', {
  timeout: 60_000,
}, async () => {
  const directory = temporaryDirectory()
  const child = spawn(process.execPath, ['--conditions=source', script], {
    env: gatewayEnvironment(directory),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let output = ''
  child.stderr.on('data', (piece) => {
    output += String(piece)
  })
  const [status] = await once(child, 'close')
  expect(status).toBe(70)
  expect(output.match(/forgetToCatch/g)).toHaveLength(1)
  expect(output).toMatch(/"event":"process\.crashed"/)
  expect(output).not.toContain('canary')
  // It was told to stop, and nobody waits for it any more.
  while (serversOf(directory).length > 0) await delay(20)
})
