import { request as httpRequest, type IncomingMessage } from 'node:http'
import OpenAI from 'openai'
import { onTestFinished } from 'vitest'
import type { SimulatorSettings } from '../../gateway/src/simulator/options.ts'
import { type Simulator, startSimulator } from '../../gateway/src/simulator/simulator.ts'

/** A simulator on a free port of the loopback interface; it ends with the test. */
export async function simulate(settings: SimulatorSettings = {}): Promise<Simulator> {
  const simulator = await startSimulator({
    listen: { host: '127.0.0.1', port: 0 },
    settings: { seed: 7, ...settings },
  })
  onTestFinished(() => simulator.close())
  return simulator
}

/** The official SDK, pointed at the simulator; it does not retry unless told to. */
export function sdk(simulator: Simulator, headers: Record<string, string> = {}, maxRetries = 0): OpenAI {
  return new OpenAI({
    apiKey: 'sk-simulated',
    baseURL: simulator.address.baseUrl,
    maxRetries,
    defaultHeaders: headers,
  })
}

export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** Whether the body ended as HTTP says it must. */
  readonly complete: boolean
  /** The code of the error that ended the connection, if one did. */
  readonly error: string | null
}

export interface RawRequest {
  readonly method?: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
  /** Called with each part of the answer's body as it comes. */
  readonly onData?: (chunk: Buffer, leave: () => void) => void
}

/** One request with node:http, which shows how a connection ends. Rejects where no status ever came. */
export function send({ address }: Simulator, request: RawRequest): Promise<RawAnswer> {
  const where =
    address.kind === 'unix' ? { socketPath: address.socketPath } : { host: address.host, port: address.port }
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        ...where,
        agent: false,
        method: request.method ?? (request.body === undefined ? 'GET' : 'POST'),
        path: request.path,
        headers: { authorization: 'Bearer sk-simulated', ...request.headers },
      },
      (incoming) => {
        outgoing.off('error', reject).on('error', () => undefined)
        const chunks: Buffer[] = []
        let error: string | null = null
        incoming.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          request.onData?.(chunk, () => outgoing.destroy())
        })
        incoming.on('error', (cause) => {
          error = 'code' in cause ? String(cause.code) : cause.message
        })
        incoming.once('close', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: Buffer.concat(chunks),
            complete: incoming.complete,
            error,
          }),
        )
      },
    )
    // After an answer has begun, its own end tells what happened.
    outgoing.on('error', reject)
    outgoing.end(request.body)
  })
}

/** A chat completion, with what differs from the plainest one. */
export function chat(
  simulator: Simulator,
  fields: object = {},
  headers: Record<string, string> = {},
  onData?: RawRequest['onData'],
): Promise<RawAnswer> {
  const body = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Say hello.' }], ...fields }
  return send(simulator, {
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    ...(onData ? { onData } : {}),
  })
}

/** The data of each event of a stream, in order. */
export function eventsOf(body: Buffer): string[] {
  return body
    .toString()
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.slice(event.indexOf('data: ') + 'data: '.length))
}
