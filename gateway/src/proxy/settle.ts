import type { RequestId } from '@latchkey/shared'
import { catalogue, nanoUsd } from '@latchkey/shared'
import type { Principal } from '@latchkey/vault'
import type { RequestRecord } from '../records/request-record.ts'
import type { Admission } from './admit.ts'
import type { Annotations } from './annotations.ts'
import { storable } from './annotations.ts'
import type { Ask } from './read.ts'
import type { Refusal } from './refusal.ts'
import type { Sent } from './send.ts'
import type { Spending, Spent } from './spending.ts'
import { tokensTold } from './tokens-used.ts'
import { Upload } from './upload.ts'

/** What is known of a request from its first line on. Times in milliseconds. */
export interface Arrival {
  readonly requestId: RequestId
  readonly method: string
  /** From `/v1` on, without its query string; '' for a target that is refused, which has no record. */
  readonly endpoint: string
  readonly clientIp: string
  readonly annotations: Annotations
  /** Wall clock, for the record. */
  readonly startedAt: number
  /** Monotonic, for durations. */
  readonly started: number
}

/** nginx's status for a client that left before it was answered. */
const clientClosedRequest = 499

/**
 * Ends an admitted request in its books: what it cost and used, in the one record that it gives. `ended` is
 * monotonic. One that never went out gives back what it had taken, and is recorded as refused.
 */
export function conclude(
  admission: Admission,
  arrival: Arrival,
  principal: Principal,
  ask: Ask,
  sent: Sent,
  spending: Spending,
  ended: number,
): RequestRecord {
  if (sent.attempts === 0 && sent.kind !== 'answered') {
    const refusal = sent.kind === 'failed' ? sent.refusal : null
    const unsent = unsentRecord(arrival, principal, ask, refusal, ended)
    admission.refuse(unsent)
    return unsent
  }
  const record = sentRecord(arrival, principal, ask, sent, spending.spent, ended)
  const told = sent.kind === 'answered' ? tokensTold(sent.answer) : null
  if (sent.kind !== 'answered' && !sent.reached) admission.recordUnsent(record)
  else admission.record(record, told ?? unknownTokens(ask, sent, spending))
  return record
}

/** What stands for tokens that nobody has told: what was taken (null), or of a form, what it was found to ask for at its end. */
function unknownTokens({ body }: Ask, { candidate }: Sent, spending: Spending): number | null {
  return body instanceof Upload && body.readsForm ? spending.tokens(candidate) : null
}

/** The record of a request that was sent, whatever came of it. */
function sentRecord(
  arrival: Arrival,
  principal: Principal,
  ask: Ask,
  sent: Sent,
  spent: Spent,
  ended: number,
): RequestRecord {
  const answer = sent.kind === 'answered' ? sent.answer : null
  const upload = ask.body instanceof Upload ? ask.body : null
  return recordOf(arrival, principal, ended, {
    providerKeyId: sent.candidate.providerKey.id,
    provider: sent.candidate.provider.name,
    model: stored(ask.model ?? upload?.model ?? null),
    responseModel: stored(answer?.reading?.model ?? null),
    status:
      answer?.status ?? (sent.kind === 'failed' ? catalogue[sent.refusal.code].status : clientClosedRequest),
    code: sent.kind === 'failed' ? sent.refusal.code : answer?.revoked ? 'revoked_api_key' : null,
    attempts: sent.attempts,
    usage: answer?.reading?.usage ?? null,
    usageMissing: answer?.usageMissing ?? false,
    streamed: answer?.streamed ?? ask.stream,
    disconnected: answer?.disconnected ?? sent.kind === 'disconnected',
    truncated: answer?.truncated ?? false,
    requestBytes: upload?.bytes ?? ask.bufferedBytes,
    responseBytes: answer?.bytes ?? 0,
    timeToFirstByteMs:
      answer === null || answer.firstByteAt === null ? null : answer.firstByteAt - arrival.started,
    cost: spent.cost,
    held: spent.held,
    estimated: spent.estimated,
    priceVersion: spent.priceVersion,
    settlements: spent.settlements,
  })
}

/** The record of a request that a stage refused, or whose client left (`refusal` null), before anything was sent. */
export function unsentRecord(
  arrival: Arrival,
  principal: Principal,
  ask: Ask | null,
  refusal: Refusal | null,
  ended: number,
): RequestRecord {
  return recordOf(arrival, principal, ended, {
    providerKeyId: null,
    provider: null,
    model: stored(ask?.model ?? null),
    responseModel: null,
    status: refusal === null ? clientClosedRequest : catalogue[refusal.code].status,
    code: refusal?.code ?? null,
    attempts: 0,
    usage: null,
    usageMissing: false,
    streamed: ask?.stream ?? false,
    disconnected: refusal === null,
    truncated: false,
    requestBytes: ask?.bufferedBytes ?? 0,
    responseBytes: 0,
    timeToFirstByteMs: null,
    cost: nanoUsd(0n),
    held: null,
    estimated: false,
    priceVersion: null,
    settlements: [],
  })
}

/** What a record tells beside whose request it was, and what its head said. */
type Outcome = Omit<
  RequestRecord,
  | ('id' | 'organizationId' | 'keyId' | 'keyName' | 'groupId' | 'method' | 'endpoint' | 'durationMs')
  | ('clientIp' | 'userId' | 'sessionId' | 'properties' | 'startedAt')
>

/** In one literal: an object that is spread, and grows from there, is moved several times. */
function recordOf(arrival: Arrival, principal: Principal, ended: number, outcome: Outcome): RequestRecord {
  return {
    id: arrival.requestId,
    organizationId: principal.organizationId,
    keyId: principal.keyId,
    keyName: principal.keyName,
    groupId: principal.group?.id ?? null,
    providerKeyId: outcome.providerKeyId,
    provider: outcome.provider,
    method: arrival.method,
    endpoint: stored(arrival.endpoint) ?? '',
    model: outcome.model,
    responseModel: outcome.responseModel,
    status: outcome.status,
    code: outcome.code,
    attempts: outcome.attempts,
    usage: outcome.usage,
    usageMissing: outcome.usageMissing,
    streamed: outcome.streamed,
    disconnected: outcome.disconnected,
    truncated: outcome.truncated,
    requestBytes: outcome.requestBytes,
    responseBytes: outcome.responseBytes,
    timeToFirstByteMs: outcome.timeToFirstByteMs,
    durationMs: ended - arrival.started,
    clientIp: arrival.clientIp,
    userId: arrival.annotations.userId,
    sessionId: arrival.annotations.sessionId,
    properties: arrival.annotations.properties,
    startedAt: arrival.startedAt,
    cost: outcome.cost,
    held: outcome.held,
    estimated: outcome.estimated,
    priceVersion: outcome.priceVersion,
    settlements: outcome.settlements,
  }
}

function stored(text: string | null): string | null {
  return text === null ? null : storable(text)
}
