import type { IncomingMessage } from 'node:http'
import type { Clock } from '@latchkey/shared'
import { type Answer, errorAnswer, faultAnswer } from './answer.ts'
import { readJson } from './body.ts'
import { type Directions, readDirections } from './directions.ts'
import type { Call, Endpoint } from './endpoint.ts'
import type { FaultSource } from './fault-source.ts'
import type { Breakage } from './faults.ts'
import { flag } from './fields.ts'
import { readForm } from './multipart.ts'
import type { SimulatorOptions } from './options.ts'
import type { Router } from './router.ts'

/** What all requests of a simulator share. */
export interface Backstage {
  readonly options: SimulatorOptions
  readonly clock: Clock
  readonly defaults: Directions
  readonly faults: FaultSource
  readonly router: Router
}

/** What the request line asks for. */
export interface Target {
  readonly path: string
  readonly query: URLSearchParams
}

export interface Arrival {
  readonly id: string
  readonly at: number
  readonly target: Target
  readonly request: IncomingMessage
}

/** The answer to a request, not yet sent. */
export interface Prepared {
  readonly answer: Answer
  readonly directions: Directions
  /** As the request names it, whatever the answer is; null where it names none. */
  readonly model: string | null
  readonly stream: boolean
}

/** Reads a request whole and decides its answer. Refusals are answers too; it never throws. */
export async function prepare(backstage: Backstage, arrival: Arrival): Promise<Prepared> {
  const draft: Draft = { directions: backstage.defaults, model: null, stream: false }
  let answer: Answer
  try {
    answer = await decide(backstage, arrival, draft)
  } catch (error) {
    answer = faultAnswer(error)
  }
  const { breakage } = draft.directions.faults
  return { ...draft, answer: breakage.kind === 'status' ? injectedError(breakage) : answer }
}

// Filled in as the request is read, so that the books name the model of a request that is refused later.
interface Draft {
  directions: Directions
  model: string | null
  stream: boolean
}

async function decide(backstage: Backstage, arrival: Arrival, draft: Draft): Promise<Answer> {
  const { options, router } = backstage
  const { request, target } = arrival
  draft.directions = directionsFor(backstage, request)
  if (options.requireKey && !/^Bearer \S/i.test(request.headers.authorization ?? '')) return missingKey
  if (!target.path.startsWith(`${options.basePath}/`)) return unknownPath(request)
  const route = router.find(request.method ?? 'GET', target.path.slice(options.basePath.length))
  switch (route.kind) {
    case 'unknown':
      return unknownPath(request)
    case 'wrong-method':
      return wrongMethod(route.allowed)
    case 'found': {
      const call: Call = {
        id: arrival.id,
        createdAt: Math.floor(arrival.at / 1000),
        directions: draft.directions,
        pathId: route.pathId,
        query: target.query,
        variety: Number.parseInt(arrival.id.slice(0, 8), 16),
      }
      return answerOf(route.endpoint, call, arrival.request, draft, options.maxJsonBytes)
    }
    default:
      return route satisfies never
  }
}

function directionsFor({ defaults, faults }: Backstage, request: IncomingMessage): Directions {
  const asked = readDirections(request.headers, defaults)
  const header = request.headers['x-simulator-fault']
  return { ...asked, faults: faults.choose(typeof header === 'string' ? header : undefined, asked.faults) }
}

async function answerOf(
  endpoint: Endpoint,
  call: Call,
  request: IncomingMessage,
  draft: Draft,
  maxJsonBytes: number,
): Promise<Answer> {
  switch (endpoint.takes) {
    case 'nothing':
      return endpoint.answer(call)
    case 'json': {
      const body = await readJson(request, maxJsonBytes)
      draft.model = typeof body.model === 'string' ? body.model : null
      draft.stream = flag(body, 'stream')
      return endpoint.answer(call, body)
    }
    case 'form': {
      const form = await readForm(request)
      draft.model = form.fields.get('model') ?? null
      draft.stream = form.fields.get('stream') === 'true'
      return endpoint.answer(call, form)
    }
    default:
      return endpoint satisfies never
  }
}

const missingKey = errorAnswer({
  status: 401,
  type: 'invalid_request_error',
  code: null,
  message: "You didn't provide an API key. Send it as 'Authorization: Bearer KEY'.",
})

function unknownPath({ method }: IncomingMessage): Answer {
  return errorAnswer({
    status: 404,
    type: 'invalid_request_error',
    code: 'unknown_url',
    message: `Unknown request URL: ${method}. Check it for typos, or see docs/simulator.md.`,
  })
}

function wrongMethod(allowed: readonly string[]): Answer {
  return errorAnswer({
    status: 405,
    type: 'invalid_request_error',
    code: 'method_not_supported',
    message: 'This path does not take this method.',
    headers: { allow: allowed.join(', ') },
  })
}

const errorsByStatus: Readonly<Record<number, readonly [type: string, code: string]>> = {
  400: ['invalid_request_error', 'invalid_request'],
  401: ['invalid_request_error', 'invalid_api_key'],
  403: ['invalid_request_error', 'unsupported_country_region_territory'],
  404: ['invalid_request_error', 'model_not_found'],
  429: ['requests', 'rate_limit_exceeded'],
}

function injectedError({ status, retryAfterSeconds }: Extract<Breakage, { kind: 'status' }>): Answer {
  const fallback = status < 500 ? 'invalid_request_error' : 'server_error'
  const [type, code] = errorsByStatus[status] ?? [fallback, fallback]
  return errorAnswer({
    status,
    type,
    code,
    message: `The simulator was told to answer ${status}.`,
    headers: retryAfterSeconds === null ? {} : { 'retry-after': String(retryAfterSeconds) },
  })
}
