import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A request as it reached the upstream. It grows while its body arrives. */
export interface ReceivedRequest {
  readonly method: string
  /** The request target, to the byte. */
  readonly url: string
  /** Name, value, name, value…, as on the wire. */
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  /** What has come of the body so far. */
  body(): Buffer
  /** The whole body; rejects where the connection breaks before its end. */
  whole(): Promise<Buffer>
  /** Resolves when its connection has ended, however. */
  readonly closed: Promise<void>
}

/** One request and the means to answer it. */
export interface UpstreamExchange {
  readonly request: ReceivedRequest
  readonly response: ServerResponse
  /** For answers that no HTTP library would write. */
  readonly socket: Socket
}

export type UpstreamHandler = (exchange: UpstreamExchange) => unknown

/** A provider on a real socket that does what a test says and remembers what it got. */
export interface FakeUpstream {
  readonly baseUrl: string
  readonly port: number
  /** In the order in which their heads came. */
  readonly requests: readonly ReceivedRequest[]
  /** Replaces what it answers. */
  handle(handler: UpstreamHandler): void
  /** The request after those that have come; resolves when its head is there. */
  next(): Promise<ReceivedRequest>
  close(): Promise<void>
}

export interface FakeUpstreamOptions {
  /** Whether bodies are read as they come; else the handler must do it with `request.whole`. */
  readonly reads?: boolean
  readonly server?: Server
}

/** Starts an upstream on a free port of the loopback interface; it ends with the test. */
export async function startFakeUpstream(
  handler: UpstreamHandler,
  { reads = true, server = createServer() }: FakeUpstreamOptions = {},
): Promise<FakeUpstream> {
  const requests: ReceivedRequest[] = []
  const waiting: ((request: ReceivedRequest) => void)[] = []
  let answer = handler
  server.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    const request = receive(incoming, reads)
    requests.push(request)
    response.on('error', () => undefined)
    for (const resolve of waiting.splice(0)) resolve(request)
    // A handler that waits for a body that never comes, whole, has nobody left to answer.
    const answered = async () => answer({ request, response, socket: incoming.socket })
    answered().catch((error: unknown) => {
      if (incoming.errored === null) throw error
    })
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  const { port } = address
  const close = async () => {
    server.closeAllConnections()
    if (!server.listening) return
    await new Promise((resolve) => server.close(resolve))
  }
  onTestFinished(close)
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    port,
    requests,
    handle(next) {
      answer = next
    },
    next: () => new Promise((resolve) => waiting.push(resolve)),
    close,
  }
}

function receive(incoming: IncomingMessage, reads: boolean): ReceivedRequest {
  const chunks: Buffer[] = []
  const ended = Promise.withResolvers<Buffer>()
  // Most tests ask for neither end; an unasked rejection is no failure of theirs.
  ended.promise.catch(() => undefined)
  const read = () => {
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
  }
  incoming.once('end', () => ended.resolve(Buffer.concat(chunks)))
  incoming.once('error', (error) => ended.reject(error))
  if (reads) read()
  return {
    method: incoming.method ?? '',
    url: incoming.url ?? '',
    rawHeaders: incoming.rawHeaders,
    headers: incoming.headers,
    body: () => Buffer.concat(chunks),
    whole() {
      if (!reads && incoming.listenerCount('data') === 0) read()
      return ended.promise
    },
    closed: closeOf(incoming.socket),
  }
}

const closes = new WeakMap<Socket, Promise<void>>()

/** One promise a connection, however many requests it carries. */
function closeOf(socket: Socket): Promise<void> {
  const known = closes.get(socket)
  if (known !== undefined) return known
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  closes.set(socket, closed)
  return closed
}

/** Answers with a JSON document once the request is there, whole. */
export function answerJson(
  value: unknown,
  status = 200,
  headers: Record<string, string> = {},
): UpstreamHandler {
  return async ({ request, response }) => {
    await request.whole()
    const body = Buffer.from(JSON.stringify(value))
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': body.length,
      ...headers,
    })
    response.end(body)
  }
}

/** Answers with an event stream, whole and at once. */
export function answerEvents(events: readonly string[]): UpstreamHandler {
  return async ({ request, response }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    response.end(events.join(''))
  }
}

/** Answers with these bytes on the connection, HTTP or not; `end` decides what becomes of it. */
export function answerBytes(
  bytes: string | Buffer,
  end: 'close' | 'reset' | 'stay' = 'stay',
): UpstreamHandler {
  return async ({ request, socket }) => {
    await request.whole()
    socket.write(bytes, () => {
      if (end === 'close') socket.end()
      else if (end === 'reset') socket.resetAndDestroy()
    })
  }
}

/** One event of an event stream. */
export function event(data: unknown, name?: string): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`
}
