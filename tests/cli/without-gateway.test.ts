import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { lockDataDirectory } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { writeAnnouncement } from '../../gateway/src/runtime/announcement.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { latchkey, linesOf, spawnLatchkey } from './latchkey-process.ts'

function settings(directory = join(temporaryDirectory(), 'data')) {
  return { LATCHKEY_DATA_DIR: directory }
}

test('every command that needs a gateway ends with 69 and says how to start one', async () => {
  for (const args of [
    ['keys', 'list'],
    ['provider-keys', 'add', 'x', '--provider', 'openai'],
    ['vault', 'status'],
  ]) {
    const ended = await latchkey([...args, '--json'], settings(), 'sk-canary-0123456789')
    expect(ended).toMatchObject({ status: 69, stdout: '' })
    expect(ended.stderr).toContain('npm start')
  }
})

test('the port of a gateway that has died is not sent the token, whoever has its pid by now', async () => {
  const directory = temporaryDirectory()
  const stranger = createServer((socket) => socket.end())
  stranger.listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  let visits = 0
  stranger.on('connection', () => visits++)
  const address = stranger.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const dead = spawnLatchkey(['--version'], {})
  await once(dead, 'exit')
  writeFileSync(join(directory, 'admin.token'), `lka_${'0'.repeat(62)}\n`, { mode: 0o600 })
  const url = `http://127.0.0.1:${port}`
  for (const pid of [dead.pid ?? 0, process.pid]) {
    const startedAt = '2026-01-01T00:00:00.000Z'
    writeAnnouncement(directory, { pid, dataUrl: url, adminUrl: url, version: '0.0.0', startedAt })
    lockDataDirectory(directory).release()
    writeFileSync(join(directory, 'gateway.pid'), `${pid}\n`)
    expect(await latchkey(['keys', 'list'], settings(directory))).toMatchObject({ status: 69 })
  }
  expect(visits).toBe(0)
  stranger.close()
})

test('a gateway that has announced nothing is found by its admin port', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'admin.token'), `lka_${'0'.repeat(62)}\n`, { mode: 0o600 })
  const stranger = createServer((socket) => socket.end())
  stranger.listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  const visited = once(stranger, 'connection')
  const address = stranger.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const ended = await latchkey(['keys', 'list'], {
    ...settings(directory),
    LATCHKEY_ADMIN_PORT: String(port),
  })
  await visited
  expect(ended.status).toBe(69)
  stranger.close()
})

test('help is on standard output and no failure, with examples', async () => {
  const ended = await latchkey(['keys', 'create', '--help'], settings())
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect(ended.stdout).toContain('latchkey keys create alice --budget 4')
})

test('doctor works before the first start, and changes nothing', async () => {
  const directory = join(temporaryDirectory(), 'data')
  const ended = await latchkey(['doctor', '--json'], {
    ...settings(directory),
    LATCHKEY_PORT: '0',
    LATCHKEY_ADMIN_PORT: '0',
  })
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  const checks = JSON.parse(ended.stdout).map((finding: { check: string }) => finding.check)
  expect(checks).toEqual(
    expect.arrayContaining(['node', 'data directory', 'lock', 'port', 'root key', 'clock']),
  )
  expect(existsSync(directory)).toBe(false)
})

test('doctor names a setting that is wrong, a port that is taken and a vault without its root key', async () => {
  const stranger = createServer()
  stranger.listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  const address = stranger.address()
  const port = String(typeof address === 'object' && address !== null ? address.port : 0)
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'postgres'))
  writeFileSync(join(directory, 'postgres', 'PG_VERSION'), '17\n')
  const taken = await latchkey(['doctor', '--json'], {
    ...settings(directory),
    LATCHKEY_PORT: port,
    LATCHKEY_ADMIN_PORT: '0',
  })
  stranger.close()
  const failed = JSON.parse(taken.stdout).filter((finding: { outcome: string }) => finding.outcome === 'fail')
  expect(taken.status).toBe(1)
  expect(failed).toMatchObject([
    { check: 'port', advice: expect.stringContaining('LATCHKEY_PORT') },
    { check: 'root key', advice: expect.stringContaining('backup') },
    { check: 'database', detail: expect.stringContaining('PostgreSQL 17') },
  ])

  const wrong = await latchkey(['doctor'], { ...settings(directory), LATCHKEY_PORT: 'eighty' })
  expect(wrong.status).toBe(1)
  expect(wrong.stdout).toContain('LATCHKEY_PORT is "eighty"')
})

test('serve ends with the exit code of the fault that stopped it, and names the variable', async () => {
  const ended = await latchkey(['serve'], { ...settings(), LATCHKEY_PORT: 'eighty' })
  expect(ended.status).toBe(78)
  expect(ended.stderr).toMatch(/^LATCHKEY_PORT is "eighty"/)
})

test('the simulator serves until SIGTERM, and says where', async () => {
  const child = spawnLatchkey(['simulate', '--port', '0', '--tokens', '3', '--no-require-key', '--json'], {})
  const { value } = await linesOf(child.stdout).next()
  const { baseUrl, books } = JSON.parse(value)
  const answer = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] }),
  })
  expect(await answer.json()).toMatchObject({ usage: { completion_tokens: 3 } })
  expect((await fetch(books)).status).toBe(200)
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})
