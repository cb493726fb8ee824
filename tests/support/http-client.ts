import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import OpenAI, { type ClientOptions } from 'openai'
import { onTestFinished } from 'vitest'
import type { TestGateway, TestKey } from './gateway.ts'

/** The official SDK, as an application has it. It does not retry unless told to. */
export function sdk(gateway: TestGateway, key: TestKey, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ apiKey: key.token, baseURL: `${gateway.url}/v1`, maxRetries: 0, ...options })
}

export interface HttpAnswer {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** Whether the body ended as HTTP says it must. */
  readonly complete: boolean
}

export interface HttpAsk {
  readonly method?: string
  readonly key?: TestKey
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
  /** Keeps connections; without it, each request has its own. */
  readonly agent?: Agent
  /** Called with each 1xx answer. */
  readonly onInformation?: (status: number, rawHeaders: readonly string[]) => void
}

/** One request. `target` is sent as it is. Rejects where no status ever came. */
export function ask(origin: string, target: string, options: HttpAsk = {}): Promise<HttpAnswer> {
  const { hostname, port } = new URL(origin)
  return new Promise((resolve, reject) => {
    const sending = httpRequest({
      hostname,
      port,
      path: target,
      agent: options.agent ?? false,
      method: options.method ?? (options.body === undefined ? 'GET' : 'POST'),
      headers: {
        ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key.token}` }),
        ...(options.body === undefined ? {} : { 'content-length': Buffer.byteLength(options.body) }),
        ...options.headers,
      },
    })
    sending.once('error', reject)
    sending.on('information', ({ statusCode, rawHeaders }) => options.onInformation?.(statusCode, rawHeaders))
    sending.once('response', (incoming) => {
      sending.on('error', () => undefined)
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', () => undefined)
      incoming.once('close', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          rawHeaders: incoming.rawHeaders,
          headers: incoming.headers,
          body: Buffer.concat(chunks),
          complete: incoming.complete,
        }),
      )
    })
    sending.end(options.body)
  })
}

/** `ask` with a JSON body, as it stands if it is a text. */
export function askJson(
  origin: string,
  target: string,
  body: unknown,
  options: HttpAsk = {},
): Promise<HttpAnswer> {
  return ask(origin, target, {
    ...options,
    headers: { 'content-type': 'application/json', ...options.headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

/** The code of an error answer in OpenAI's shape. */
export function codeOf({ body }: Pick<HttpAnswer, 'body'>): unknown {
  const answer = JSON.parse(body.toString()) as { readonly error?: { readonly code?: unknown } }
  return answer.error?.code
}

/** All values of a header, in order, from name, value, name, value…. */
export function valuesOf(rawHeaders: readonly string[], lowerCaseName: string): readonly string[] {
  return rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === lowerCaseName,
  )
}

/** A bare connection to the gateway, for what no HTTP library would send. */
export interface BareConnection {
  readonly socket: Socket
  /** What has come so far. */
  received(): Buffer
  /** Resolves with what has come once it includes `text`; rejects where the connection ends before. */
  until(text: string): Promise<string>
  /** Resolves with all that came when the connection has ended. */
  readonly ended: Promise<Buffer>
}

/** Connects and reads. The connection ends with the test. */
export function connectTo(origin: string): BareConnection {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  const chunks: Buffer[] = []
  const received = () => Buffer.concat(chunks)
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => undefined)
  onTestFinished(() => {
    socket.destroy()
  })
  const ended = new Promise<Buffer>((resolve) => socket.once('close', () => resolve(received())))
  return {
    socket,
    received,
    ended,
    until: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const all = received().toString('latin1')
          if (!all.includes(text)) return
          socket.off('data', look)
          resolve(all)
        }
        socket.on('data', look)
        socket.once('close', () => reject(new Error(`ended without ${text}: ${received()}`)))
        look()
      }),
  }
}

/** The head of a request as bytes, its empty line included. */
export function head(
  method: string,
  target: string,
  headers: Readonly<Record<string, string | number>>,
): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${target} HTTP/1.1\r\nhost: gateway\r\n${lines.join('')}\r\n`
}
