import { closeSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Clock } from '../../clock.ts'
import { LatchkeyError } from '../../errors.ts'
import type { SocketConnection } from '../connection.ts'
import type { PostgresBinaries } from './binaries.ts'
import { superuser } from './cluster.ts'
import type { Layout } from './layout.ts'
import { interpretOutput } from './postgres-complaint.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import { openServerLog, readServerLog } from './server-log.ts'
import type { ServerUser } from './server-user.ts'
import { serverSettings, socketPort } from './settings.ts'
import { shutdownSteps } from './shutdown.ts'
import { spawnProgram } from './spawn-program.ts'

export interface ServerExit {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

/** A Postgres that accepts connections, our child. */
export interface Server {
  readonly pid: number
  readonly connection: SocketConnection
  /** Resolves when the process has ended, asked or not. */
  readonly exited: Promise<ServerExit>
  /** Ends sessions, writes a checkpoint and stops; by force after 10 s. Throws `postgres_failed` if even that fails. */
  stop(): Promise<void>
}

export type ServerStart =
  | { readonly kind: 'ready'; readonly server: Server }
  /** Processes of an earlier server still use the cluster: try again in a moment. */
  | { readonly kind: 'in-use'; readonly error: LatchkeyError }

export interface ServerOptions {
  readonly layout: Layout
  readonly binaries: PostgresBinaries
  readonly user: ServerUser | null
  readonly socketDirectory: string
  readonly maxConnections: number
  readonly clock: Clock
  /** Gives up the start; a server that is half started is stopped. */
  readonly signal: AbortSignal
}

const databaseName = 'latchkey'
const abandonSignal = 'SIGINT'
/**
 * How much nicer the server is than we, with all its sessions. On a core that both use, a batch of records would hold
 * requests up for some ticks of the kernel; this way it waits for them, and where they leave no time it has a quarter.
 */
const nicer = 5
const pollEveryMs = 5
// Recovery after a crash replays at most `max_wal_size`, which takes seconds.
const readyDeadlineMs = 60_000

/**
 * Starts Postgres on the cluster and waits until it accepts connections and has our database.
 * Throws `disk_full`, `directory_unreachable` or `postgres_failed`.
 */
export async function startServer(options: ServerOptions): Promise<ServerStart> {
  const { layout, user } = options
  const connection: SocketConnection = {
    host: options.socketDirectory,
    port: socketPort,
    user: superuser,
    database: databaseName,
  }
  const serverLog = openServerLog(layout.serverLog)
  const child = await spawnProgram(
    options.binaries.postgres,
    ['-D', layout.cluster, ...settingArguments(options)],
    { user, workingDirectory: '/', stdio: ['ignore', serverLog.descriptor, serverLog.descriptor] },
  ).finally(() => closeSync(serverLog.descriptor))
  const { promise: exited, resolve } = Promise.withResolvers<ServerExit>()
  // A process that crashes has no time to wait, but for a word: Postgres then ends its sessions and stops by itself.
  const abandon = () => child.kill(abandonSignal)
  process.once('exit', abandon)
  child.once('exit', (exitCode, signal) => {
    process.off('exit', abandon)
    resolve({ exitCode, signal })
  })
  // It has one, since it was spawned.
  const pid = child.pid ?? 0
  yieldToRequests(pid)

  const complaint = () =>
    interpretOutput('Postgres', readServerLog(layout.serverLog, serverLog.offset), layout.serverLog)
  let stopped: Promise<void> | null = null
  const server: Server = {
    pid,
    connection,
    exited,
    stop() {
      stopped ??= stopChild(pid, exited, (name) => child.kill(name))
      return stopped
    },
  }
  try {
    if (await becameReady(options, pid, exited)) {
      await ensureDatabase(connection)
      return { kind: 'ready', server }
    }
  } catch (error) {
    await server.stop()
    // The log says more than a connection that was refused or cut does.
    throw error instanceof LatchkeyError || options.signal.aborted ? error : complaint().error
  }
  const found = complaint()
  if (found.kind === 'in-use') return found
  throw found.error
}

function yieldToRequests(pid: number): void {
  try {
    setPriority(pid, Math.min(getPriority() + nicer, constants.priority.PRIORITY_LOW))
  } catch {
    // It has ended, which is found out next, or this system has no priorities for us to give.
  }
}

function settingArguments(options: ServerOptions): readonly string[] {
  return Object.entries(serverSettings(options)).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** False where the process has ended instead. */
async function becameReady(
  { layout, clock, signal }: ServerOptions,
  pid: number,
  exited: Promise<ServerExit>,
): Promise<boolean> {
  let running = true
  void exited.then(() => {
    running = false
  })
  const deadline = clock.monotonic() + readyDeadlineMs
  // The file rather than attempts to connect: those would fill the log, and might reach another server.
  while (running) {
    const state = readPostmasterFile(layout.cluster)
    if (state.kind === 'present' && state.file.pid === pid && state.file.ready) return true
    if (clock.monotonic() > deadline)
      throw new LatchkeyError('postgres_failed', {
        message: `Postgres was not ready within ${readyDeadlineMs / 1000} s. See ${layout.serverLog}.`,
      })
    await delay(pollEveryMs, undefined, { signal })
  }
  return false
}

const invalidCatalogName = '3D000'

/** Makes our database where it is missing, after initdb or a kill between it and this. */
async function ensureDatabase(connection: SocketConnection): Promise<void> {
  try {
    await runOnce(connection, 'SELECT 1')
  } catch (error) {
    if (!(error instanceof pg.DatabaseError && error.code === invalidCatalogName)) throw error
    await runOnce({ ...connection, database: 'postgres' }, `CREATE DATABASE ${databaseName}`)
  }
}

async function runOnce(connection: SocketConnection, sql: string): Promise<void> {
  const client = new pg.Client({ ...connection, ssl: false, connectionTimeoutMillis: 10_000 })
  // A server that dies now ends the query as well; this keeps it from ending the process.
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

async function stopChild(
  pid: number,
  exited: Promise<ServerExit>,
  kill: (signal: NodeJS.Signals) => void,
): Promise<void> {
  for (const step of shutdownSteps) {
    const cancel = new AbortController()
    kill(step.signal)
    const late = delay(step.waitMs, 'late' as const, { signal: cancel.signal }).catch(() => 'late' as const)
    const outcome = await Promise.race([exited, late])
    cancel.abort()
    if (outcome !== 'late') return
  }
  throw new LatchkeyError('postgres_failed', {
    message: `Postgres (process ${pid}) does not stop, not even by SIGKILL.`,
    details: { pid },
  })
}
