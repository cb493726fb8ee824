import { type ChildProcess, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, closeSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createLog, Secret, type ServerConnection, systemClock } from '@latchkey/shared'
import pg from 'pg'
import { locateBinaries } from '../../shared/src/database/embedded/binaries.ts'
import { ensureCluster, superuser } from '../../shared/src/database/embedded/cluster.ts'
import { layoutOf } from '../../shared/src/database/embedded/layout.ts'
import { readPostmasterFile } from '../../shared/src/database/embedded/postmaster-file.ts'
import { openServerLog, readServerLog } from '../../shared/src/database/embedded/server-log.ts'
import { admitServerUser, chooseServerUser } from '../../shared/src/database/embedded/server-user.ts'
import { serverSettings } from '../../shared/src/database/embedded/settings.ts'
import { spawnProgram } from '../../shared/src/database/embedded/spawn-program.ts'
import { freePort } from './free-port.ts'

/** A Postgres of its own on a TCP port of the loopback interface, as an operator would run it: it can be stopped, killed and frozen. */
export interface TestPostgres {
  readonly port: number
  readonly password: string
  /** Where its Unix socket is, which asks for no password. */
  readonly socketDirectory: string
  /** `DATABASE_URL` of a database on it. It need not run now. */
  url(database: string): string
  connection(database: string): ServerConnection
  /** Makes an empty database and gives its name. */
  createDatabase(options?: string): Promise<string>
  /** The rows of one statement, on a connection of its own, by its socket. */
  query<Row extends pg.QueryResultRow>(database: string, sql: string): Promise<readonly Row[]>
  /** Starts it again if it has ended, on the same port and data. Resolves when it accepts connections. */
  start(): Promise<void>
  /** Ends its sessions and stops it. */
  stop(): Promise<void>
  /** kill -9. Resolves when its processes are gone. */
  kill(): Promise<void>
  /** Stops every process of it where it is: connections stay open, and nobody answers. */
  freeze(): void
  thaw(): void
  /** Stops it and removes its directory. */
  discard(): Promise<void>
}

export interface TestPostgresOptions {
  readonly maxConnections?: number
  /** PEM texts; with them, it speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string }
}

const startDeadlineMs = 30_000
const lookAgainMs = 10

/** Starts one from the binaries of the embedded Postgres: 1.5 s, most of it initdb. Whoever starts it discards it. */
export async function startPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-postgres-'))
  const layout = layoutOf(directory)
  const binaries = locateBinaries()
  const user = chooseServerUser(layout)
  if (user) admitServerUser(user, layout, binaries)
  await ensureCluster({ layout, binaries, user, clock: systemClock, log: createLog('silent') })
  writeFileSync(
    join(layout.cluster, 'pg_hba.conf'),
    'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
  )
  const port = await freePort()
  const password = `canary-${randomBytes(12).toString('hex')}`
  const settings = {
    ...serverSettings({ socketDirectory: layout.cluster, maxConnections: options.maxConnections ?? 100 }),
    listen_addresses: '127.0.0.1',
    port: String(port),
    ...writeTls(),
  }
  const settingArguments = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let child: ChildProcess | null = null

  function writeTls(): Readonly<Record<string, string>> {
    if (options.tls === undefined) return {}
    const files = { ssl_cert_file: options.tls.certificate, ssl_key_file: options.tls.key }
    for (const [name, text] of Object.entries(files)) {
      const file = join(layout.cluster, name)
      writeFileSync(file, text, { mode: 0o600 })
      if (user) chownSync(file, user.uid, user.gid)
    }
    return { ssl: 'on', ssl_cert_file: 'ssl_cert_file', ssl_key_file: 'ssl_key_file' }
  }

  /** False where it has ended instead. */
  async function launch(): Promise<boolean> {
    const serverLog = openServerLog(layout.serverLog)
    const launched = await spawnProgram(binaries.postgres, ['-D', layout.cluster, ...settingArguments], {
      user,
      workingDirectory: '/',
      stdio: ['ignore', serverLog.descriptor, serverLog.descriptor],
    }).finally(() => closeSync(serverLog.descriptor))
    child = launched
    for (;;) {
      if (hasEnded(launched)) return false
      const state = readPostmasterFile(layout.cluster)
      if (state.kind === 'present' && state.file.pid === launched.pid && state.file.ready) return true
      await delay(lookAgainMs)
    }
  }

  async function start(): Promise<void> {
    if (child !== null && !hasEnded(child)) return
    const deadline = Date.now() + startDeadlineMs
    // What is left of a killed one may not have let go of the directory yet.
    while (!(await launch())) {
      if (Date.now() > deadline) throw new Error(readServerLog(layout.serverLog, 0))
      await delay(lookAgainMs)
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child === null || hasEnded(child)) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  function signalAll(signal: NodeJS.Signals): void {
    const parent = String(child?.pid)
    const children = execFileSync('pgrep', ['-P', parent], { encoding: 'utf8' }).trim().split('\n')
    for (const pid of [parent, ...children]) {
      try {
        process.kill(Number(pid), signal)
      } catch (error) {
        // A child may have ended since it was listed.
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
      }
    }
  }

  async function ask<Row extends pg.QueryResultRow>(database: string, sql: string): Promise<readonly Row[]> {
    const client = new pg.Client({ host: layout.cluster, port, user: superuser, database, ssl: false })
    client.on('error', () => undefined)
    await client.connect()
    try {
      return (await client.query<Row>(sql)).rows
    } finally {
      await client.end()
    }
  }

  await start()
  await ask('postgres', `ALTER ROLE ${superuser} PASSWORD '${password}'`)
  return {
    port,
    password,
    socketDirectory: layout.cluster,
    url: (database) => `postgres://${superuser}:${password}@127.0.0.1:${port}/${database}`,
    connection: (database) => ({
      host: '127.0.0.1',
      port,
      user: superuser,
      password: new Secret(password),
      database,
      tls: { kind: 'off' },
      channelBinding: false,
    }),
    async createDatabase(sqlOptions = '') {
      const name = `test_${randomBytes(8).toString('hex')}`
      await ask('postgres', `CREATE DATABASE ${name} ${sqlOptions}`)
      return name
    },
    query: ask,
    start,
    stop: () => end('SIGINT'),
    kill: () => end('SIGKILL'),
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    async discard() {
      await end('SIGQUIT')
      rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
