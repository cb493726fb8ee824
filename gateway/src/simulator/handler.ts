import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, errorFields, type Log, type RandomBytes } from '@latchkey/shared'
import type { Answer } from './answer.ts'
import type { Books, Entry } from './books.ts'
import { answerBooks, booksPath } from './books-page.ts'
import { Client } from './client.ts'
import { deliver, reset } from './deliver.ts'
import { defaultDirections } from './directions.ts'
import { createEndpoints } from './endpoints.ts'
import { FaultSource } from './fault-source.ts'
import type { SimulatorOptions } from './options.ts'
import { type Backstage, type Prepared, prepare, type Target } from './prepare.ts'
import { Router } from './router.ts'

export interface HandlerParts {
  readonly options: SimulatorOptions
  readonly books: Books
  readonly clock: Clock
  /** Makes ids, texts and random faults; with a seeded one they are repeatable. */
  readonly random: RandomBytes
  /** Where a bug of the simulator's own is reported; such a request ends as one that is cut. */
  readonly log: Log | null
}

export type SimulatorHandler = (request: IncomingMessage, response: ServerResponse) => void

/** The simulated API and its books as a listener for any node:http server. */
export function createSimulatorHandler(parts: HandlerParts): SimulatorHandler {
  const { options, books, clock, random } = parts
  const backstage: Backstage = {
    options,
    clock,
    defaults: defaultDirections(options),
    faults: new FaultSource(options, random),
    router: new Router(createEndpoints()),
  }
  return (request, response) => {
    const target = targetOf(request.url ?? '/')
    if (target.path === booksPath) {
      const page = answerBooks(books, request.method ?? 'GET', target.query)
      writeHead(response, page, {})
      response.end(page.kind === 'whole' ? page.body : '')
      return
    }
    const id = Buffer.from(random(12)).toString('hex')
    void serve(parts, backstage, { id, target, request, response })
  }
}

interface Exchange {
  readonly id: string
  readonly target: Target
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

async function serve(parts: HandlerParts, backstage: Backstage, exchange: Exchange): Promise<void> {
  const { books, clock } = parts
  const { id, target, request, response } = exchange
  const at = clock.now()
  const startedAt = clock.monotonic()
  const client = new Client(response)
  books.open()
  const prepared = await prepare(backstage, { id, at, target, request })
  let outcome: Outcome
  try {
    outcome = await perform(parts, prepared, client, exchange, startedAt)
  } catch (error) {
    parts.log?.error('simulator.failed', errorFields(error))
    response.destroy()
    outcome = { ...unanswered, completed: 'cut' }
  }
  books.close({
    id: requestId(id),
    at,
    durationMs: clock.monotonic() - startedAt,
    method: request.method ?? 'GET',
    path: target.path.slice(0, 200),
    model: prepared.model?.slice(0, 200) ?? null,
    keyFingerprint: fingerprint(request.headers.authorization),
    stream: prepared.stream,
    ...outcome,
  })
}

type Outcome = Pick<Entry, 'status' | 'completed' | 'bytes' | 'reported' | 'billed'>

const unanswered = { status: null, bytes: 0, reported: null, billed: null } as const

/** Sends what was prepared, or breaks it. */
async function perform(
  parts: HandlerParts,
  prepared: Prepared,
  client: Client,
  { id, request, response }: Exchange,
  startedAt: number,
): Promise<Outcome> {
  const { directions } = prepared
  const breakage = directions.faults.breakage.kind
  if (directions.latencyMs > 0) await client.wait(directions.latencyMs)
  if (client.gone) return { ...unanswered, completed: 'client-gone' }
  if (breakage === 'hang-headers') await client.left()
  if (breakage === 'reset-before-headers') reset(request.socket)
  if (breakage === 'hang-headers' || breakage === 'reset-before-headers')
    return { ...unanswered, completed: 'fault' }
  const { answer } = prepared
  writeHead(response, answer, {
    'x-request-id': requestId(id),
    'openai-version': '2020-10-01',
    'openai-organization': 'org-simulator',
    'openai-processing-ms': String(Math.round(parts.clock.monotonic() - startedAt)),
  })
  const delivery = await deliver(client, bodyFor(request, answer), directions, parts.clock)
  const status = statusOf(answer)
  if (breakage === 'status' && delivery.completed === 'full')
    return { ...delivery, status, completed: 'fault' }
  return { ...delivery, status }
}

// Not `new URL`, which throws for what a client may well send.
function targetOf(url: string): Target {
  const mark = url.indexOf('?')
  if (mark === -1) return { path: url, query: new URLSearchParams() }
  return { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark)) }
}

function requestId(id: string): string {
  return `req_${id}`
}

function writeHead(
  response: ServerResponse,
  answer: Answer,
  headers: Readonly<Record<string, string>>,
): void {
  const length = answer.kind === 'whole' ? Buffer.byteLength(answer.body) : answer.length
  response.writeHead(statusOf(answer), {
    'content-type': answer.contentType,
    ...headers,
    ...(answer.kind === 'whole' ? answer.headers : {}),
    ...(length === null ? {} : { 'content-length': length }),
  })
}

function statusOf(answer: Answer): number {
  return answer.kind === 'whole' ? answer.status : 200
}

// The head of an answer to HEAD is that of GET, and node would count a body that it drops.
function bodyFor(request: IncomingMessage, answer: Answer): Answer {
  if (request.method !== 'HEAD') return answer
  return answer.kind === 'whole' ? { ...answer, body: '' } : { ...answer, pieces: [] }
}

function fingerprint(authorization: string | undefined): string | null {
  const key = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
  return key === undefined ? null : hash('sha256', key, 'hex').slice(0, 8)
}
