import { chmod, lstat, unlink } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import {
  type Clock,
  LatchkeyError,
  type Log,
  type RandomBytes,
  systemClock,
  systemRandom,
} from '@latchkey/shared'
import { Books } from './books.ts'
import { createSimulatorHandler } from './handler.ts'
import { parseOptions, type SimulatorSettings } from './options.ts'
import { seededRandom } from './seeded-random.ts'

/** Where a simulator listens: a TCP port (0: any free one), or a unix socket that only its owner may open. */
export type SimulatorEndpoint =
  | { readonly host: string; readonly port: number }
  | { readonly socketPath: string }

export interface SimulatorStart {
  readonly listen: SimulatorEndpoint
  readonly settings?: SimulatorSettings
  readonly clock?: Clock
  /** Where it is not given: from the settings' seed, else the system's. */
  readonly random?: RandomBytes
  /** Where bugs of the simulator's own are reported. */
  readonly log?: Log
}

/** Where a simulator is reached. `baseUrl` includes the version path, as an SDK's `baseURL` does. */
export type SimulatorAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly baseUrl: string }
  | { readonly kind: 'unix'; readonly socketPath: string; readonly baseUrl: string }

export interface Simulator {
  readonly server: Server
  readonly address: SimulatorAddress
  readonly books: Books
  /** Stops listening and ends every connection, those in the middle of an answer too. */
  close(): Promise<void>
}

/**
 * Starts a provider that answers in OpenAI's wire shape. Throws `invalid_config` for a bad setting and
 * `port_in_use` where something else listens there.
 */
export async function startSimulator(start: SimulatorStart): Promise<Simulator> {
  const options = parseOptions(start.settings ?? {})
  const books = new Books(options.maxEntries)
  const seeded = options.seed === null ? systemRandom : seededRandom(options.seed)
  const handler = createSimulatorHandler({
    options,
    books,
    clock: start.clock ?? systemClock,
    random: start.random ?? seeded,
    log: start.log ?? null,
  })
  // Uploads may be slow on purpose, so a request has no time limit of its own.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, handler)
  const address = await listen(server, start.listen, options.basePath)
  return { server, address, books, close: () => close(server) }
}

async function listen(server: Server, where: SimulatorEndpoint, basePath: string): Promise<SimulatorAddress> {
  if ('socketPath' in where) {
    const { socketPath } = where
    await removeStaleSocket(socketPath)
    await listening(server, () => server.listen({ path: socketPath, exclusive: true }))
    await chmod(socketPath, 0o600)
    return { kind: 'unix', socketPath, baseUrl: `http://localhost${basePath}` }
  }
  await listening(server, () => server.listen(where.port, where.host))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : where.port
  const host = where.host.includes(':') ? `[${where.host}]` : where.host
  return { kind: 'tcp', host: where.host, port, baseUrl: `http://${host}:${port}${basePath}` }
}

function listening(server: Server, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void => {
      const taken = 'code' in cause && cause.code === 'EADDRINUSE'
      reject(taken ? new LatchkeyError('port_in_use', { cause }) : cause)
    }
    server.once('error', failed)
    server.once('listening', () => {
      server.off('error', failed)
      resolve()
    })
    begin()
  })
}

// A process that was killed leaves its socket file behind, and nobody can listen there until it is removed.
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null)
  if (found?.isSocket() && !(await isServed(path))) await unlink(path)
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
