import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { catalogue, type ErrorCode, errorFields, type StatusWire } from '@latchkey/shared'
import { type HolderPorts, serveKey } from './holder/serve-key.ts'
import { openai } from './providers/openai/openai.ts'
import { faultBody } from './proxy/fault-body.ts'
import { namesOneHost } from './proxy/header-names.ts'
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
 * The server that applications talk to. Every route is here: health, the holder's view of a key, and all else through
 * the proxy, on Node's own request and response: a router's listener cost more than a tenth of its path.
 * `requestTimeoutMs` bounds the receipt of a request.
 */
export function createDataPlane(
  ports: ProxyPorts & HolderPorts,
  health: () => Health,
  requestTimeoutMs: number,
): Server {
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
    switch (readPath(incoming)) {
      case '/livez':
        return answerHealth(outgoing, 200, { status: 'live' })
      case '/readyz': {
        const { status, mode } = health()
        return answerHealth(outgoing, status === 'ready' ? 200 : 503, { status, mode })
      }
      case '/key':
        return void serveKey(ports, incoming, outgoing)
      default:
        proxy(ports, incoming, outgoing).catch((error: unknown) => {
          ports.log.error('request.failed', errorFields(error))
          outgoing.destroy()
        })
    }
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

/** The path that a request reads; null where it wants something else, or names no host, which is the proxy's to say. */
function readPath({ method, url = '', rawHeaders }: IncomingMessage): string | null {
  if ((method !== 'GET' && method !== 'HEAD') || !namesOneHost(rawHeaders)) return null
  const question = url.indexOf('?')
  return question === -1 ? url : url.slice(0, question)
}

function answerHealth(outgoing: ServerResponse, status: number, health: object): void {
  const body = JSON.stringify(health)
  // A write that a leaving client crosses is reported here.
  outgoing.on('error', () => {})
  outgoing.writeHead(status, ['content-type', 'application/json', 'content-length', String(body.length)])
  outgoing.end(body)
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
