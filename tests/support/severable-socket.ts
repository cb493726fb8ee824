import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SocketConnection } from '@latchkey/shared'

/** A way to Postgres that can be cut, with everything that is on it, and mended. */
export interface SeverableSocket {
  readonly connection: SocketConnection
  cut(): Promise<void>
  mend(): Promise<void>
  close(): Promise<void>
}

/** Forwards a socket in a directory of its own to the server at `target`. */
export async function severableSocket(target: SocketConnection): Promise<SeverableSocket> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-socket-'))
  const name = `.s.PGSQL.${target.port}`
  const sockets = new Set<Socket>()
  let server: Server | undefined

  function track(socket: Socket): Socket {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    return socket
  }

  async function mend(): Promise<void> {
    server = createServer((client) => {
      const upstream = track(createConnection(join(target.host, name)))
      track(client).pipe(upstream).pipe(client)
    })
    const path = join(directory, name)
    await new Promise<void>((resolve) => server?.listen(path, resolve))
    chmodSync(path, 0o600)
  }

  async function cut(): Promise<void> {
    const closed = new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  }

  await mend()
  return {
    connection: { ...target, host: directory },
    cut,
    mend,
    async close() {
      await cut()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
