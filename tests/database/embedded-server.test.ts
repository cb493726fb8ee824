import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { isAlive, openEmbedded, queryColumn } from '../support/embedded.ts'
import { startEmbeddedProcess, untilReady } from '../support/embedded-process.ts'
import { recordLog } from '../support/recorded-log.ts'

// One cluster for the file, since making one takes a second; each test opens and closes it.
const directory = mkdtempSync(join(tmpdir(), 'latchkey-test-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('the embedded Postgres', () => {
  it('keeps what was committed through a stop and a start', async () => {
    const first = await openEmbedded(directory)
    await queryColumn(first.connection, 'CREATE TABLE kept AS SELECT 42 AS value')
    await first.close()
    expect(isAlive(first.postgres.pid)).toBe(false)

    const second = await openEmbedded(directory)
    expect(await queryColumn(second.connection, 'SELECT value FROM kept')).toStrictEqual([42])
    expect(second.connection).toStrictEqual(first.connection)
  })

  it.each([
    ['server_version_num', /^18/],
    ['listen_addresses', /^$/],
    ['unix_socket_permissions', /^0700$/],
    ['fsync', /^on$/],
    ['synchronous_commit', /^on$/],
    ['full_page_writes', /^on$/],
    ['data_checksums', /^on$/],
    ['server_encoding', /^UTF8$/],
    ['TimeZone', /^UTC$/],
    ['jit', /^off$/],
    ['shared_buffers', /^16MB$/],
    ['max_connections', /^20$/],
    ['max_locks_per_transaction', /^512$/],
  ])('runs with a sound %s', async (setting, expected) => {
    const { connection } = await openEmbedded(directory)
    expect((await queryColumn(connection, `SHOW ${setting}`))[0]).toMatch(expected)
  })

  it('sorts text by code point and knows the letters beyond ASCII', async () => {
    const { connection } = await openEmbedded(directory)
    expect(
      await queryColumn(connection, "SELECT upper(v) FROM (VALUES ('a'), ('é'), ('Z')) AS t (v) ORDER BY v"),
    ).toStrictEqual(['Z', 'A', 'É'])
  })

  it.runIf(process.platform === 'linux')('leaves the core to us, with all that it starts', async () => {
    const { connection, postgres } = await openEmbedded(directory)
    const sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
    const [started] = await queryColumn(connection, sql)
    const ours = getPriority()
    expect(getPriority(postgres.pid)).toBe(ours + 5)
    expect(getPriority(Number(started))).toBe(ours + 5)
  })

  it('can be reached by its owner alone', async () => {
    const { connection } = await openEmbedded(directory)
    expect(statSync(connection.host).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'postgres')).mode & 0o777).toBe(0o700)
    expect(statSync(directory).mode & 0o007).toBe(0)
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      expect([entry.name, statSync(join(directory, entry.name)).mode & 0o077]).toStrictEqual([entry.name, 0])
  })

  it.runIf(process.platform === 'linux')(
    'gets nothing of our environment, where secrets may be',
    async () => {
      vi.stubEnv('LATCHKEY_ROOT_KEY', 'planted-secret')
      onTestFinished(() => {
        vi.unstubAllEnvs()
      })
      const { postgres } = await openEmbedded(directory)
      const environment = readFileSync(`/proc/${postgres.pid}/environ`, 'utf8')
      expect(environment).toContain('LC_ALL=C')
      expect(environment).not.toContain('planted-secret')
    },
  )

  it('writes no value of a row into its log', async () => {
    const { connection } = await openEmbedded(directory)
    await queryColumn(connection, "CREATE TABLE unique_value AS SELECT 'planted-' || 'value' AS value")
    await queryColumn(connection, 'CREATE UNIQUE INDEX ON unique_value (value)')
    await expect(
      queryColumn(connection, 'INSERT INTO unique_value SELECT value FROM unique_value'),
    ).rejects.toMatchObject({ code: '23505', detail: expect.stringContaining('planted-value') })
    const log = readFileSync(join(directory, 'postgres.log'), 'utf8')
    expect(log).toContain('duplicate key value')
    expect(log).not.toContain('planted-value')
  })

  it('starts a new log file where the old one has grown beyond 1 MiB, and keeps one old one', async () => {
    const log = join(directory, 'postgres.log')
    writeFileSync(log, 'old\n')
    truncateSync(log, 1024 * 1024 + 1)
    const { close } = await openEmbedded(directory)
    await close()
    expect(statSync(`${log}.1`).size).toBe(1024 * 1024 + 1)
    expect(readFileSync(log, 'utf8')).toContain('ready to accept connections')
    expect(readFileSync(log, 'utf8')).not.toContain('old')
  })

  it('is started again when it dies, each time, and the data and the connection stay', async () => {
    const log = recordLog()
    const { postgres, connection } = await openEmbedded(directory, log)
    await queryColumn(connection, 'CREATE TABLE survives AS SELECT 1 AS value')
    for (const [index, signal] of (['SIGKILL', 'SIGQUIT', 'SIGTERM'] as const).entries()) {
      const died = postgres.pid
      const restarted = log.next('postgres.started')
      process.kill(died, signal)
      await restarted
      await vi.waitUntil(() => postgres.restarts === index + 1, 10_000)
      expect(postgres.pid).not.toBe(died)
      expect(await queryColumn(connection, 'SELECT value FROM survives')).toStrictEqual([1])
    }
  })

  it('is tried again for as long as it fails to start, and runs once the reason is gone', async () => {
    const log = recordLog()
    const { postgres, connection } = await openEmbedded(directory, log)
    const version = join(directory, 'postgres', 'PG_VERSION')
    const failures = (async () => {
      await log.next('postgres.restart_failed')
      await log.next('postgres.restart_failed')
    })()
    truncateSync(version)
    process.kill(postgres.pid, 'SIGKILL')
    await failures
    const restarted = log.next('postgres.started')
    writeFileSync(version, '18\n')
    await restarted
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
  })

  it('can be stopped while it is being restarted, and then nothing runs', async () => {
    const log = recordLog()
    const { postgres, close } = await openEmbedded(directory, log)
    const exited = log.next('postgres.exited')
    process.kill(postgres.pid, 'SIGKILL')
    await exited
    await close()
    await expect(queryColumn(postgres.connection, 'SELECT 1')).rejects.toMatchObject({
      code: expect.stringMatching(/ENOENT|ECONNREFUSED/),
    })
  })

  it('ends sessions that are open, and their transactions, when it is stopped', async () => {
    const { connection, close } = await openEmbedded(directory)
    const sleeping = queryColumn(connection, 'SELECT pg_sleep(60)')
    await Promise.all([expect(sleeping).rejects.toThrow(), untilActive(connection).then(close)])
  })

  it('is not reached by Ctrl-C, which goes to our process group', async () => {
    const child = startEmbeddedProcess(directory)
    const { connection, pid } = await untilReady(child)
    child.signalGroup('SIGINT')
    expect(await child.next()).toStrictEqual({ kind: 'interrupted' })
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
    expect(isAlive(pid)).toBe(true)
    await child.kill()
    // Takes over, and so stops, the server that this has left.
    await openEmbedded(directory)
    expect(isAlive(pid)).toBe(false)
  })
})

async function untilActive(connection: Parameters<typeof queryColumn>[0]): Promise<void> {
  await vi.waitUntil(async () => {
    const running = await queryColumn(
      connection,
      "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'",
    )
    return running.length === 1
  }, 10_000)
}
