import { PassThrough } from 'node:stream'
import { systemClock } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { run } from '../../gateway/src/cli/program.ts'
import { Terminal } from '../../gateway/src/cli/terminal.ts'

/** Runs a command line in this process, with no gateway to be found. */
async function runHere(argv: readonly string[]) {
  const written = { stdout: '', stderr: '' }
  const stdout = new PassThrough().on('data', (piece) => {
    written.stdout += piece
  })
  const stderr = new PassThrough().on('data', (piece) => {
    written.stderr += piece
  })
  const terminal = new Terminal({ stdin: new PassThrough(), stdout, stderr })
  const env = { LATCHKEY_DATA_DIR: '/nowhere' }
  const status = await run(argv, { env, terminal, clock: systemClock })
  // The streams hand on what was written in the next turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve))
  return { status, ...written }
}

test.each([
  [[]],
  [['nonsense']],
  [['keys']],
  [['keys', 'nonsense']],
  [['keys', 'list', 'extra']],
  [['keys', 'list', '--nonsense']],
  [['keys', 'create', 'alice', '--budget', 'much']],
  [['keys', 'create', 'alice', '--budget', '-1']],
  [['keys', 'create', 'alice', '--budget', '1.0000000001']],
  [['keys', 'create', 'alice', '--budget', '1/year']],
  [['keys', 'create', 'alice', '--budget', '1/day/day']],
  [['keys', 'create', 'alice', '--budget', '1', '--budget', '2/total']],
  [['keys', 'create', 'alice', '--rpm', '0']],
  [['keys', 'create', 'alice', '--concurrency', 'many']],
  [['keys', 'create', 'alice', '--fit', 'squeeze']],
  [['keys', 'create', 'alice', '--no-group']],
  [['keys', 'bulk']],
  [['groups', 'create', 'a', '--budget', '1e3']],
  [['groups', 'create', 'a', '--tpd', '1.5']],
  [['keys', 'create', 'alice', '--provider-key', 'x', '--expires', 'tomorrow']],
  [['keys', 'create', 'alice', '--provider-key', 'x', '--retries', '11']],
  [['keys', 'create', 'alice', '--provider-key', ',']],
  [['keys', 'rotate', 'alice', '--grace', '1y']],
  [['provider-keys', 'add', 'x']],
  [['provider-keys', 'add', 'x', '--provider', 'acme']],
  [['requests', 'tail', '-n', '0']],
  [['vault', 'rotate']],
  [['vault', 'rotate', '--purpose', 'nonsense']],
  [['vault', 'rotate', '--root', '--keyring']],
  [['vault', 'rotate', '--root', '--purpose', 'secret']],
  [['simulate', '--port', '70000']],
  [['simulate', '--fault-rate', '2']],
])('a wrong command line ends with 2, and says why on standard error alone: %j', async (argv) => {
  const ended = await runHere(argv)
  expect(ended).toMatchObject({ status: 2, stdout: '' })
  expect(ended.stderr).not.toBe('')
})

test('a bad setting of the simulator ends with the exit code of its fault', async () => {
  expect(await runHere(['simulate', '--port', '0', '--fault', 'nonsense'])).toMatchObject({
    status: 78,
    stdout: '',
  })
})

test('help and version are on standard output, and no failure', async () => {
  for (const argv of [
    ['--help'],
    ['keys', '--help'],
    ['keys', 'create', '--help'],
    ['help', 'vault'],
    ['--version'],
  ]) {
    const ended = await runHere(argv)
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(ended.stdout).not.toBe('')
  }
})
