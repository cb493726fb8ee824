import { execFile, execFileSync } from 'node:child_process'
import { constants, copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { statusWire } from '@latchkey/shared'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { isProcessAlive } from '../../gateway/src/runtime/announcement.ts'
import {
  gatewayEnvironment,
  type KillableGateway,
  startKillableGateway,
} from '../security/killable-gateway.ts'
import { startPostgres } from '../support/postgres.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Whole processes start in every one of them.
vi.setConfig({ testTimeout: 60_000 })

const postgres = await startPostgres()
afterAll(() => postgres.discard())

async function start(workers: number, env: Readonly<Record<string, string>> = {}): Promise<KillableGateway> {
  return startKillableGateway(temporaryDirectory(), {
    DATABASE_URL: postgres.url(await postgres.createDatabase()),
    LATCHKEY_WORKERS: String(workers),
    ...env,
  })
}

/** The workers of a gateway, those that have not served yet among them. */
function workersOf(gateway: KillableGateway): readonly number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'ppid=,pid='], { encoding: 'utf8' }).trim().split('\n')
  return lines
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([parent, pid = 0]) => (parent === gateway.pid ? [pid] : []))
}

/** Stops a process where it is. It is killed when the test has finished: no signal but that one ends it. */
function suspend(pid: number): void {
  process.kill(pid, 'SIGSTOP')
  onTestFinished(() => {
    if (isProcessAlive(pid)) process.kill(pid, 'SIGKILL')
  })
}

test('a connection on its way to a worker that dies is closed, and nobody waits for an answer', async () => {
  const gateway = await start(2)
  const { port } = new URL((await gateway.ready()).dataUrl)
  const [stopped = 0] = workersOf(gateway)
  suspend(stopped)
  // One worker answers all but the first that is given to the other one.
  const waiting = new Set(
    Array.from({ length: 6 }, () => connect(Number(port), '127.0.0.1').on('error', () => {})),
  )
  const closed = [...waiting].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  for (const socket of waiting) {
    socket.on('data', () => waiting.delete(socket))
    socket.write('GET /livez HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n')
  }
  await expect.poll(() => waiting.size).toBe(1)
  process.kill(stopped, 'SIGKILL')
  await Promise.all(closed)
  expect(waiting.size).toBe(1)
})

test('a worker that served and dies is replaced until one serves again, even while others have yet to start', async () => {
  const gateway = await start(2)
  await gateway.logged('worker.ready')
  await expect.poll(() => workersOf(gateway).length, { interval: 5 }).toBe(2)
  const [first = 0, second = 0] = workersOf(gateway)
  suspend(second)
  process.kill(first, 'SIGKILL')
  await expect
    .poll(() => workersOf(gateway).filter((pid) => pid !== first && pid !== second), { interval: 5 })
    .toHaveLength(1)
  const [replacement = 0] = workersOf(gateway).filter((pid) => pid !== second)
  process.kill(replacement, 'SIGKILL')
  await gateway.logged('worker.ready', 2)
  process.kill(second, 'SIGCONT')
  await gateway.ready()
  const { workers } = statusWire.parse(JSON.parse((await gateway.admin('GET', '/status')).text))
  expect(workers?.map(({ self }) => self === null)).toEqual([false, false])
})

// The one is told by an event, the other is thrown.
const unforkable = ['ENOENT', 'ENOTDIR'] as const

test.each(unforkable)(
  'a worker that dies while no process can be started (%s) is replaced as soon as one can',
  async (code) => {
    const directory = temporaryDirectory()
    const [bin, away] = [join(directory, 'bin'), join(directory, 'away')]
    mkdirSync(bin)
    copyFileSync(process.execPath, join(bin, 'node'), constants.COPYFILE_FICLONE)
    const gateway = await start(2, { PATH: `${bin}:${process.env.PATH}` })
    await gateway.ready()
    const [first = 0] = workersOf(gateway)
    renameSync(bin, away)
    if (code === 'ENOTDIR') writeFileSync(bin, '')
    process.kill(first, 'SIGKILL')
    // Its death, and two attempts.
    await gateway.logged('worker.ended', 3)
    expect(gateway.output()).toContain(`"errorCode":"${code}"`)
    rmSync(bin, { force: true })
    renameSync(away, bin)
    await gateway.logged('worker.ready', 3)
    expect(await gateway.stop(), gateway.output()).toBe(0)
  },
)

test.each(unforkable)('a start that can start no worker (%s) says so and ends', async (code) => {
  const node = code === 'ENOENT' ? '/absent/node' : '/dev/null/node'
  const supervisor = fileURLToPath(
    new URL('../../gateway/src/runtime/workers/supervisor-main.ts', import.meta.url),
  )
  const ended = Promise.withResolvers<{ readonly exitCode: unknown; readonly output: string }>()
  execFile(
    process.execPath,
    [
      ...['--conditions=source', '--import', `data:text/javascript,process.execPath=${JSON.stringify(node)}`],
      ...[supervisor, '2', 'info', '1000'],
    ],
    { env: gatewayEnvironment(temporaryDirectory()) },
    (error, _stdout, stderr) => ended.resolve({ exitCode: error?.code ?? 0, output: stderr }),
  )
  expect(await ended.promise).toEqual({
    exitCode: 70,
    output: expect.stringMatching(`^A worker could not be started: spawn .*${code}`),
  })
})
