import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { SocketConnection } from '../connection.ts'
import { locateBinaries } from './binaries.ts'
import { ensureCluster } from './cluster.ts'
import { filesystemFault } from './filesystem-fault.ts'
import { layoutOf } from './layout.ts'
import type { DirectoryLock } from './lock.ts'
import { stopOrphan } from './orphan.ts'
import { type Server, type ServerOptions, startServer } from './server.ts'
import { admitServerUser, chooseServerUser } from './server-user.ts'
import { prepareSocketDirectory } from './socket-directory.ts'
import { supervise } from './supervise.ts'

export interface EmbeddedOptions {
  /** The lock on the data directory: proof that no other gateway touches it. To be released after `stop`. */
  readonly lock: DirectoryLock
  readonly clock: Clock
  readonly log: Log
  /** How many connections the server accepts: 20, unless told otherwise. */
  readonly maxConnections?: number
}

/** A private Postgres, kept alive until it is stopped. */
export interface EmbeddedPostgres {
  /** Stays the same through restarts. */
  readonly connection: SocketConnection
  /** The server process now, or, during a restart, the last one. */
  readonly pid: number
  /** How often it died and was started again. */
  readonly restarts: number
  /** Ends the sessions that are left and stops it cleanly. Throws `postgres_failed` if it can't be stopped. */
  stop(): Promise<void>
}

const defaultMaxConnections = 20
const inUseRetryMs = 25
const inUseDeadlineMs = 20_000

/**
 * Starts the Postgres of the data directory: makes its cluster the first time, recovers whatever a
 * killed gateway left, and starts the server anew whenever it dies. Throws `postgres_version`,
 * `postgres_failed`, `directory_unreachable` or `disk_full`; nothing runs then.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const layout = layoutOf(options.lock.directory)
  try {
    const binaries = locateBinaries()
    const user = chooseServerUser(layout)
    if (user) admitServerUser(user, layout, binaries)
    await stopOrphan(layout.cluster, options.clock, options.log)
    await ensureCluster({ layout, binaries, user, clock: options.clock, log: options.log })

    const socketDirectory = prepareSocketDirectory(layout, user)
    const maxConnections = options.maxConnections ?? defaultMaxConnections
    const server = { layout, binaries, user, maxConnections, clock: options.clock }
    const supervised = await supervise(
      (signal) => launch({ ...server, socketDirectory: socketDirectory.path, signal }, options.log),
      options,
    )
    return {
      connection: supervised.current.connection,
      get pid() {
        return supervised.current.pid
      },
      get restarts() {
        return supervised.restarts
      },
      async stop() {
        await supervised.stop()
        socketDirectory.discard()
      },
    }
  } catch (error) {
    throw filesystemFault(error, layout.directory)
  }
}

/** Starts a server, waiting for what is left of its predecessor to let go of the cluster. */
async function launch(options: ServerOptions, log: Log): Promise<Server> {
  const { layout, clock } = options
  const started = clock.monotonic()
  for (;;) {
    await stopOrphan(layout.cluster, clock, log)
    const start = await startServer(options)
    const durationMs = clock.monotonic() - started
    if (start.kind === 'ready') {
      log.info('postgres.started', { pid: start.server.pid, durationMs })
      return start.server
    }
    if (durationMs > inUseDeadlineMs) throw start.error
    await delay(inUseRetryMs, undefined, { signal: options.signal })
  }
}
