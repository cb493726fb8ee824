import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

/** A server that says `connection` to, and a proxy before it. */
async function startBehind(connection: (socket: Socket) => void): Promise<TcpProxy> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    connection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  const proxy = await startTcpProxy({ port: address.port })
  onTestFinished(async () => {
    await proxy.close()
    server.close()
  })
  return proxy
}

const echo = (socket: Socket) => socket.pipe(socket)

interface Client {
  readonly socket: Socket
  /** What has come so far. */
  received(): string
  /** Resolves with the code of its error, if it had one, when it has ended. */
  readonly ended: Promise<string | null>
  until(text: string): Promise<void>
}

async function connect({ port }: TcpProxy): Promise<Client> {
  const socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  let text = ''
  let fault: string | null = null
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString()
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    fault = error.code ?? error.message
  })
  const ended = new Promise<string | null>((resolve) => socket.once('close', () => resolve(fault)))
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), ended])
  return {
    socket,
    received: () => text,
    ended,
    async until(wanted) {
      while (!text.includes(wanted)) await once(socket, 'data')
    },
  }
}

test('bytes pass in both directions, and each half of a connection ends by itself', async () => {
  const proxy = await startBehind((socket) => {
    socket.on('data', (bytes) => socket.write(bytes))
    socket.once('end', () => socket.end('the end'))
  })
  const client = await connect(proxy)
  client.socket.write('hello')
  await client.until('hello')
  expect(proxy.connections).toBe(1)
  client.socket.end()
  await client.until('the end')
  expect(await client.ended).toBeNull()
})

test('a sender that is faster than its reader has to wait', async () => {
  const proxy = await startBehind((socket) => void socket.pause())
  const client = await connect(proxy)
  const chunk = Buffer.alloc(64 * 1024)
  let sent = 0
  while (sent < 64 * 1024 * 1024) {
    sent += chunk.length
    if (client.socket.write(chunk)) continue
    const drained = await Promise.race([once(client.socket, 'drain').then(() => true), sleep(250, false)])
    if (!drained) break
  }
  // Buffers of the kernel, and not ours.
  expect(sent).toBeLessThan(32 * 1024 * 1024)
})

test('a cut resets every connection, and new ones are served', async () => {
  const proxy = await startBehind(echo)
  const clients = [await connect(proxy), await connect(proxy)]
  for (const client of clients) {
    client.socket.write('hello')
    await client.until('hello')
  }
  proxy.cut()
  for (const client of clients) expect(await client.ended).toBe('ECONNRESET')
  const later = await connect(proxy)
  later.socket.write('again')
  await later.until('again')
})

test('whoever connects while it refuses is refused, and who is connected stays', async () => {
  const proxy = await startBehind(echo)
  const early = await connect(proxy)
  early.socket.write('hello')
  await early.until('hello')
  await proxy.refuse(true)
  const refused = await connect(proxy)
  expect(await refused.ended).toBe('ECONNREFUSED')
  early.socket.write('still here')
  await early.until('still here')
  await proxy.refuse(false)
  const late = await connect(proxy)
  late.socket.write('again')
  await late.until('again')
})

test('nothing passes while it is a black hole, and everything arrives after that', async () => {
  const proxy = await startBehind(echo)
  const early = await connect(proxy)
  proxy.pause()
  const late = await connect(proxy)
  early.socket.write('early')
  late.socket.end('late')
  await sleep(100)
  expect([early.received(), late.received()]).toEqual(['', ''])
  proxy.resume()
  await early.until('early')
  await late.until('late')
  expect(await late.ended).toBeNull()
})

test('a delay holds every byte for its time, in each direction, and keeps their order', async () => {
  const proxy = await startBehind(echo)
  const client = await connect(proxy)
  proxy.delay(50)
  const sentAt = performance.now()
  client.socket.write('one')
  await sleep(5)
  client.socket.write(' two')
  await client.until('one two')
  // A timer of Node's may be early by a millisecond.
  expect(performance.now() - sentAt).toBeGreaterThanOrEqual(98)
})

test('the answer that it waits for is cut off before the client gets any of it, once', async () => {
  const proxy = await startBehind(echo)
  const other = await connect(proxy)
  const victim = await connect(proxy)
  const cut = proxy.cutAfter((answer, asked) => asked.includes('COMMIT') && answer.includes('COMMIT'))
  for (const client of [other, victim]) {
    client.socket.write('SELECT')
    await client.until('SELECT')
  }
  victim.socket.write('COMMIT')
  await cut
  expect(await victim.ended).toBe('ECONNRESET')
  expect(victim.received()).toBe('SELECT')
  other.socket.write('COMMIT')
  await other.until('COMMIT')
})
