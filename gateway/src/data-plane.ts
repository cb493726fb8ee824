import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { catalogue, type ErrorCode, errorFields, type StatusWire } from '@latchkey/shared'
import { Hono } from 'hono'
import { type HolderPorts, serveKey } from './holder/serve-key.ts'
import { openai } from './providers/openai/openai.ts'
import { faultBody } from './proxy/fault-body.ts'
import type { Observer } from './proxy/observer.ts'
import { type ProxyPorts, proxy } from './proxy/pipeline.ts'
import { refuse } from './proxy/refusal.ts'

/** Whether requests can be served, and if not, why. */
export type Readiness = 'ready' | 'starting' | 'sealed' | 'draining'

/** What `/readyz` says. */
export interface Health {
  readonly status: Readiness
  /** For people: whose database it is. */
  readonly mode: StatusWire['mode']
}

const headersTimeoutMs = 60_000
/** Longer than load balancers keep idle connections, so that they close first and no request is lost. */
const keepAliveTimeoutMs = 75_000

/**
 * The server that applications talk to. Every route is here: health, and all else through the proxy,
 * which works on Node's own request and response. `requestTimeoutMs` bounds the receipt of a request.
 */
export function createDataPlane(
  ports: ProxyPorts & HolderPorts,
  health: () => Health,
  requestTimeoutMs: number,
): Server {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.get('/livez', (c) => c.json({ status: 'live' }))
  app.get('/readyz', (c) => {
    const { status, mode } = health()
    return c.json({ status, mode }, status === 'ready' ? 200 : 503)
  })
  app.get('/key', (c) => {
    const { incoming, outgoing } = c.env
    void serveKey(ports, incoming, outgoing)
    return RESPONSE_ALREADY_SENT
  })
  app.all('*', (c) => {
    const { incoming, outgoing } = c.env
    // It ends by itself; Hono's answer only says that there is nothing left to send.
    proxy(ports, incoming, outgoing).catch((error: unknown) => {
      ports.log.error('request.failed', errorFields(error))
      outgoing.destroy()
    })
    return RESPONSE_ALREADY_SENT
  })
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    autoCleanupIncoming: false,
    errorHandler: () => {
      ports.observer.refused('invalid_request')
      return answerUnroutable()
    },
  })
  const server = createServer({
    requestTimeout: requestTimeoutMs,
    headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
    keepAliveTimeout: keepAliveTimeoutMs,
    // Node would answer a request without `Host` by itself, in no shape of ours.
    requireHostHeader: false,
  })
  const answers = new WeakMap<Duplex, ServerResponse>()
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    answers.set(incoming.socket, outgoing)
    return listener(incoming, outgoing)
  }
  server.on('request', serve)
  // Without this, Node would ask for the body before anybody has looked at the key.
  server.on('checkContinue', serve)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const answer = answers.get(socket)
    // An error in the middle of an answer would be read as a part of it.
    if (answer?.headersSent && !answer.writableFinished) socket.destroy()
    else answerClientError(error, socket, ports.observer)
  })
  return server
}

/** Answers a request whose target or `Host` makes no URL, so that it reaches no route, in the same shape as all other errors. */
function answerUnroutable(): Response {
  const { status } = catalogue.invalid_request
  const headers = { 'content-type': 'application/json' }
  return new Response(faultBody(openai, refuse('invalid_request')), { status, headers })
}

/** Answers bytes that are no HTTP request, which reach no route, in the same shape as all other errors. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex, observer: Observer): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const code: ErrorCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'headers_too_large' : 'invalid_request'
  observer.refused(code)
  const { status } = catalogue[code]
  const body = faultBody(openai, refuse(code))
  socket.end(
    `HTTP/1.1 ${status} ${status === 431 ? 'Request Header Fields Too Large' : 'Bad Request'}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
