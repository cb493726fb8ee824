import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { TestPostgres } from './postgres.ts'

/**
 * What PgBouncer does with `pool_mode=transaction`: a server session is lent to a client for one transaction, and what
 * a session says while it is lent to nobody is dropped.
 */
export async function startTransactionPooler(
  postgres: TestPostgres,
  database: string,
  order: LendingOrder,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const resting: Session[] = []
  const sockets = new Set<Socket>()

  async function lend(last: Session | null): Promise<Session> {
    const own = order === 'own' && last !== null ? resting.indexOf(last) : -1
    const [rested] = resting.splice(order === 'last' ? -1 : Math.max(0, own), 1)
    return rested ?? openSession(join(postgres.socketDirectory, `.s.PGSQL.${postgres.port}`), database)
  }

  const server = createServer((client) => {
    sockets.add(client)
    let session: Promise<Session> | null = null
    let last: Session | null = null
    let greeted = false
    client.on('error', () => undefined)
    client.on('data', (bytes: Buffer) => {
      if (!greeted) {
        greeted = true
        client.write(greeting)
        return
      }
      // X: goodbye.
      if (bytes[0] === 0x58) return
      session ??= lend(last)
      void session.then((lent) => {
        lent.heard = (answer, idle) => {
          client.write(answer)
          if (!idle) return
          lent.heard = null
          session = null
          last = lent
          resting.push(lent)
        }
        lent.socket.write(bytes)
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // As many as there are clients, so that each could have one.
  resting.push(...(await Promise.all([lend(null), lend(null)])))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return {
    port: address.port,
    async close() {
      for (const { socket } of resting) socket.destroy()
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Which session is lent: the one that rested `last`, the one that rested `longest`, or the `own` one of before. */
export type LendingOrder = 'last' | 'longest' | 'own'

interface Session {
  readonly socket: Socket
  /** Whoever it is lent to: gets what it says, and whether its transaction is over. */
  heard: ((answer: Buffer, idle: boolean) => void) | null
}

// AuthenticationOk, BackendKeyData and ReadyForQuery: Postgres's manual, "Message Formats".
const greeting = Buffer.concat([
  message('R', Buffer.alloc(4)),
  message('K', Buffer.alloc(8)),
  message('Z', Buffer.from('I')),
])

async function openSession(path: string, database: string): Promise<Session> {
  const socket = createConnection(path)
  const session: Session = { socket, heard: null }
  const parameters = `user\0latchkey\0database\0${database}\0options\0-c TimeZone=UTC\0\0`
  const startup = Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(parameters)])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(startup.length + 4)
  socket.write(Buffer.concat([length, startup]))
  const ready = new Promise<void>((resolve) => {
    session.heard = (_answer, idle) => (idle ? resolve() : undefined)
  })
  let pending = Buffer.alloc(0)
  socket.on('data', (bytes: Buffer) => {
    pending = Buffer.concat([pending, bytes])
    let end = 0
    let idle = false
    while (pending.length >= end + 5) {
      const next = end + 1 + pending.readUInt32BE(end + 1)
      if (next > pending.length) break
      idle = pending[end] === 0x5a && pending[end + 5] === 0x49
      end = next
    }
    const whole = pending.subarray(0, end)
    pending = pending.subarray(end)
    if (whole.length > 0) session.heard?.(whole, idle)
  })
  socket.on('error', () => undefined)
  await ready
  session.heard = null
  return session
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
