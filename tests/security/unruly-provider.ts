import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { onTestFinished } from 'vitest'

/** A provider that does whatever the path says, good and bad, and remembers which keys it was sent. */
export interface UnrulyProvider {
  readonly baseUrl: string
  /** A port beside it where whoever asks for TLS gets anything but that. */
  readonly noTlsPort: number
  readonly keys: ReadonlySet<string>
}

const events = [
  'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n',
  'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
  'data: [DONE]\n\n',
]

/** Starts it on a free port of the loopback interface; it ends with the test. */
export async function startUnrulyProvider(): Promise<UnrulyProvider> {
  const keys = new Set<string>()
  const server = createServer((request, response) => {
    keys.add((request.headers.authorization ?? '').replace('Bearer ', ''))
    request.resume().once('end', () => answer(request, response))
  }).listen(0, '127.0.0.1')
  const dropper = createNetServer((socket) => {
    socket.on('error', () => socket.destroy()).end('not tls')
  }).listen(0, '127.0.0.1')
  await Promise.all([once(server, 'listening'), once(dropper, 'listening')])
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
    dropper.close()
  })
  return { baseUrl: `http://127.0.0.1:${portOf(server)}/v1`, noTlsPort: portOf(dropper), keys }
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const what = new URL(request.url ?? '', 'http://provider').pathname.slice('/v1/'.length)
  switch (what) {
    case 'hang-up':
      request.socket.destroy()
      return
    case 'no-http':
      request.socket.end('220 smtp ready\r\n')
      return
    case 'cut':
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(events[0], () => {
        request.socket.resetAndDestroy()
      })
      return
    case 'chat/completions':
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events.join(''))
      return
    default:
      response.writeHead(Number(what) || 200, { 'content-type': 'application/json' })
      response.end('{"error":{"message":"no"}}')
  }
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  return address.port
}
