import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'

/** A way to a Postgres on which NOTIFY can be lost without anybody noticing. Connections must be unencrypted. */
export interface DeafPostgres {
  readonly port: number
  /** Cuts the connections that listen. The next ones that want to get no answer: they wait, and hear nothing. */
  deafen(): void
  close(): Promise<void>
}

/** Stands before the server on that port of the loopback interface. Whoever starts it closes it. */
export async function startDeafPostgres(port: number): Promise<DeafPostgres> {
  const sockets = new Set<Socket>()
  const listening = new Set<Socket>()
  let deaf = false

  const server = createServer((client) => {
    const upstream = createConnection({ host: '127.0.0.1', port })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => {
        sockets.delete(socket)
        listening.delete(socket)
        other.destroy()
      })
    }
    client.on('data', (bytes: Buffer) => {
      if (bytes.includes('LISTEN ')) listening.add(client)
      if (deaf && listening.has(client)) return
      if (!upstream.write(bytes)) {
        client.pause()
        upstream.once('drain', () => client.resume())
      }
    })
    upstream.pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return {
    port: address.port,
    deafen() {
      deaf = true
      for (const client of listening) client.destroy()
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
