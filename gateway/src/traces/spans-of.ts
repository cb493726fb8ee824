import { errorCode } from '@latchkey/shared'
import type { BoundProviderKey } from '@latchkey/vault'
import type { AttemptEnd } from '../proxy/attempt-end.ts'
import type { Candidate } from '../proxy/authorize.ts'
import type { RequestRecord } from '../records/request-record.ts'
import { operationOf } from './operation.ts'
import type { Span } from './span.ts'

/** Where in its trace a span stands. */
export type SpanPlace = Pick<Span, 'traceId' | 'spanId' | 'parentId' | 'state'>

/** One attempt and how it ended; null: it never came to an end of its own. Wall-clock milliseconds. */
export interface AttemptOutcome {
  readonly candidate: Candidate
  readonly start: number
  readonly at: number
  readonly end: AttemptEnd | null
}

/**
 * The span of a request as its client sees it (HTTP server span:
 * https://opentelemetry.io/docs/specs/semconv/http/http-spans/). Tokens stand in the attempt's span only, so that
 * they are counted once.
 */
export function requestSpan(place: SpanPlace, start: number, end: number, record: RequestRecord): Span {
  const { method, endpoint, status, code } = record
  // A name must not be as many as there are paths: those hold ids.
  const route = operationOf(endpoint) === null ? null : endpoint
  return {
    ...place,
    name: route === null ? method : `${method} ${route}`,
    kind: 'server',
    start,
    end,
    failed: status >= 500 || record.truncated,
    attributes: {
      'http.request.method': method,
      'http.route': route,
      'url.path': endpoint,
      'http.response.status_code': status,
      'error.type': code ?? (record.truncated ? 'truncated' : status >= 500 ? String(status) : null),
      'latchkey.request.id': record.id,
      'latchkey.key.id': record.keyId,
      'latchkey.group.id': record.groupId,
      'latchkey.attempts': record.attempts,
      'latchkey.cost.nano_usd': record.cost,
      'latchkey.cost.estimated': record.estimated,
      'latchkey.client_disconnected': record.disconnected,
    },
  }
}

/**
 * The span of one attempt at a provider (GenAI client span:
 * https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/): which model, how many tokens, and nothing of
 * what was said. `index` counts the attempts of a request from 0.
 */
export function attemptSpan(
  place: SpanPlace,
  { candidate, start, at, end }: AttemptOutcome,
  index: number,
  record: RequestRecord,
): Span {
  const { provider, providerKey } = candidate
  const operation = operationOf(record.endpoint)
  const answer = end?.kind === 'answered' ? end.answer : null
  const usage = answer?.reading?.usage ?? null
  const error = errorOf(end)
  const { address, port } = serverOf(providerKey)
  return {
    ...place,
    name: [operation ?? record.method, operation === null ? null : record.model].filter(Boolean).join(' '),
    kind: 'client',
    start,
    end: at,
    failed: error !== null,
    attributes: {
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': provider.name,
      'gen_ai.request.model': record.model,
      'gen_ai.response.model': answer === null ? null : record.responseModel,
      'gen_ai.usage.input_tokens': usage?.inputTokens ?? null,
      'gen_ai.usage.output_tokens': usage?.outputTokens ?? null,
      'gen_ai.usage.cache_read.input_tokens': usage?.cachedInputTokens ?? null,
      'gen_ai.usage.reasoning.output_tokens': usage?.reasoningTokens ?? null,
      'http.request.method': record.method,
      'http.request.resend_count': index === 0 ? null : index,
      'http.response.status_code': statusOf(end),
      'server.address': address,
      'server.port': port,
      'error.type': error,
      'latchkey.provider_key.name': providerKey.name,
    },
  }
}

interface Server {
  readonly address: string
  readonly port: number
}

// A provider key is frozen, and may be that of many keys: its address is looked for once.
const servers = new WeakMap<BoundProviderKey, Server>()

function serverOf(providerKey: BoundProviderKey): Server {
  let server = servers.get(providerKey)
  if (server === undefined) {
    const { hostname, port, protocol } = new URL(providerKey.baseUrl)
    server = { address: hostname, port: Number(port || (protocol === 'http:' ? 80 : 443)) }
    servers.set(providerKey, server)
  }
  return server
}

function statusOf(end: AttemptEnd | null): number | null {
  if (end === null) return null
  return end.kind === 'answered' ? end.answer.status : end.status
}

/** A word of ours, an error's code, or a status; null: it went well. */
function errorOf(end: AttemptEnd | null): string | null {
  if (end === null) return 'unfinished'
  switch (end.kind) {
    case 'answered':
      return end.answer.truncated ? 'truncated' : end.answer.status >= 400 ? String(end.answer.status) : null
    case 'discarded':
      return String(end.status)
    case 'failed':
      return errorCode(end.error) ?? end.error.name
    case 'disconnected':
      return 'client_disconnected'
    default:
      return end satisfies never
  }
}
