import { execFileSync } from 'node:child_process'
import { connect } from 'node:net'
import { statusWire } from '@latchkey/shared'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { isProcessAlive } from '../../gateway/src/runtime/announcement.ts'
import { type KillableGateway, startKillableGateway } from '../security/killable-gateway.ts'
import { startPostgres } from '../support/postgres.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Whole processes start in every one of them.
vi.setConfig({ testTimeout: 60_000 })

const postgres = await startPostgres()
afterAll(() => postgres.discard())

async function start(workers: number): Promise<KillableGateway> {
  return startKillableGateway(temporaryDirectory(), {
    DATABASE_URL: postgres.url(await postgres.createDatabase()),
    LATCHKEY_WORKERS: String(workers),
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
