import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { isAlive, openEmbedded, queryColumn } from '../support/embedded.ts'
import { startEmbeddedProcess, untilReady } from '../support/embedded-process.ts'
import { recordLog } from '../support/recorded-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const shared = mkdtempSync(join(tmpdir(), 'latchkey-test-'))
afterAll(() => rmSync(shared, { recursive: true, force: true }))

describe('after kill -9 of the gateway', () => {
  it('the server that it left is stopped cleanly, and what was committed is there', async () => {
    const child = startEmbeddedProcess(shared)
    const { pid, connection } = await untilReady(child)
    await queryColumn(connection, 'CREATE TABLE committed AS SELECT 7 AS value')
    await child.kill()
    expect(isAlive(pid)).toBe(true)

    const log = recordLog()
    const opened = await openEmbedded(shared, log)
    expect(isAlive(pid)).toBe(false)
    expect(log.events).toContainEqual({ event: 'postgres.orphan_stopped', fields: { pid } })
    expect(await queryColumn(opened.connection, 'SELECT value FROM committed')).toStrictEqual([7])
  })

  it('and of its server, the next one recovers', async () => {
    const child = startEmbeddedProcess(shared)
    const { pid, connection } = await untilReady(child)
    await queryColumn(connection, 'CREATE TABLE recovered AS SELECT 8 AS value')
    process.kill(pid, 'SIGKILL')
    await child.kill()
    const opened = await openEmbedded(shared)
    expect(await queryColumn(opened.connection, 'SELECT value FROM recovered')).toStrictEqual([8])
  })

  it('over and over, at any moment of a start, the directory opens again', { timeout: 120_000 }, async () => {
    for (const afterMs of [0, 5, 10, 20, 30, 40, 60]) {
      const child = startEmbeddedProcess(shared)
      expect(await child.next()).toStrictEqual({ kind: 'locked' })
      // What is tested is the moment, so there is no event to wait for.
      await delay(afterMs)
      await child.kill()
    }
    const { connection } = await openEmbedded(shared)
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
  })

  it.each([0, 20, 150, 500, 900])(
    'during initdb, %d ms after its begin, the next start makes a whole cluster and leaves nothing behind',
    async (afterMs) => {
      const directory = temporaryDirectory()
      const begun = untilEntry(directory, /^postgres\.new-/)
      const child = startEmbeddedProcess(directory)
      await begun
      await delay(afterMs)
      await child.kill()

      const { connection, close } = await openEmbedded(directory)
      expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
      await close()
      expect(readdirSync(directory).sort()).toStrictEqual(['gateway.lock', 'postgres', 'postgres.log', 'run'])
    },
  )
})

describe('a postmaster.pid that is left over', () => {
  const file = join(shared, 'postgres', 'postmaster.pid')

  it('and whose pid is now another program’s does no harm to either', async () => {
    const owner = statSync(join(shared, 'postgres'))
    const bystander = spawn('sleep', ['600'], { uid: owner.uid, gid: owner.gid, stdio: 'ignore' })
    onTestFinished(async () => {
      const exited = once(bystander, 'exit')
      bystander.kill('SIGKILL')
      await exited
    })
    await once(bystander, 'spawn')
    writeFileSync(file, `${bystander.pid}\n${join(shared, 'postgres')}\n1790000000\n5432\n\n\n1 1\nready\n`)
    const socketLock = join(shared, 'run', '.s.PGSQL.5432.lock')
    writeFileSync(socketLock, `${bystander.pid}\n${join(shared, 'postgres')}\n1790000000\n5432\n\n`)

    const { connection } = await openEmbedded(shared)
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull()
  })

  it.each([
    ['is empty', ''],
    ['holds no number', 'nonsense\n'],
    ['names process 1', '1\n'],
    ['names a process that is gone', '4194304\n'],
  ])('and %s is no obstacle', async (_title, content) => {
    writeFileSync(file, content)
    const { connection } = await openEmbedded(shared)
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
  })
})

async function untilEntry(directory: string, name: RegExp): Promise<void> {
  const watcher = watch(directory)
  try {
    for (;;) {
      const [, filename]: unknown[] = await once(watcher, 'change')
      if (name.test(String(filename))) return
    }
  } finally {
    watcher.close()
  }
}
