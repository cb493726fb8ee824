import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Limit } from '../limits/limit.ts'
import type { Grant } from './authorize.ts'
import type { BodyShare } from './buffered-bytes.ts'
import { withIncludeUsage } from './include-usage.ts'
import { parseJsonBody, repeatsAName } from './json-body.ts'
import type { LimitPolicy } from './limit-policy.ts'
import { modelsRefusal } from './models.ts'
import { boundaryOf, MultipartScanner } from './multipart-scanner.ts'
import type { OwnTime } from './own-time.ts'
import { type Refusal, refuse } from './refusal.ts'
import { type JudgeForm, Upload } from './upload.ts'
import { type ReadLimits, readWhole } from './whole-body.ts'

/** What the client asks for, as far as the gateway must know it, and the bytes to send. */
export interface Ask {
  readonly kind: 'ask'
  readonly body: Buffer | Upload | null
  /** Null where the body names none, or where an upload has not told it yet. */
  readonly model: string | null
  readonly stream: boolean
  /** We asked for usage in the stream and the client did not: it is cut out of the answer again. */
  readonly hideUsage: boolean
  /** The members of the JSON body; none without one. What a form says is known at its end only. */
  readonly fields: Readonly<Record<string, unknown>>
  /** Bytes of the JSON body as it was received; 0 without one. */
  readonly fieldBytes: number
  /** Bytes of the body that were received into memory. */
  readonly bufferedBytes: number
}

/**
 * Reads the body as far as needed. JSON is buffered, since the model must be known before a byte is
 * sent; all else streams. `null`: the client left.
 */
export function readAsk(
  grant: Grant,
  policy: LimitPolicy | null,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  share: BodyShare,
  limits: ReadLimits,
  ownTime: OwnTime,
): Ask | Refusal | Promise<Ask | Refusal | null> {
  const { headers } = incoming
  const length = headers['content-length']
  if (headers['transfer-encoding'] === undefined && (length === undefined || length === '0'))
    return emptyAsk(grant)
  if (countHeader(incoming.rawHeaders, 'content-type') > 1) {
    return refuse('invalid_request', {
      param: 'content-type',
      message: 'The content type is said twice: the provider might believe the other one.',
    })
  }
  const type = headers['content-type'] ?? ''
  const essence = (type.split(';', 1)[0] ?? '').trim().toLowerCase()
  const plain = (headers['content-encoding'] ?? 'identity').toLowerCase() === 'identity'
  const limited = mustBeRead(grant, policy)
  if (limited && !isUtf8Type(type)) {
    return refuse('unsupported_media_type', {
      param: 'content-type',
      message: 'This API key is limited in what it may ask for: send UTF-8, which we can read.',
    })
  }
  if (plain && (essence === 'application/json' || essence.endsWith('+json'))) {
    ownTime.rest()
    return readWhole(incoming, share, limits, () => continueIfAsked(incoming, outgoing)).then((bytes) => {
      ownTime.go()
      return Buffer.isBuffer(bytes) ? jsonAsk(grant, limited, bytes, share) : bytes
    })
  }
  // A form that names no model, as that of a file to keep, is not looked into.
  if (plain && essence === 'multipart/form-data' && grant.endpoint?.model === 'body')
    return multipartAsk(grant, incoming, outgoing, type, limited, limits.idleTimeoutMs)
  if (limited) {
    return refuse('unsupported_media_type', {
      param: 'content-type',
      message:
        'This API key is limited in what it may ask for: send application/json or multipart/form-data, not encoded.',
    })
  }
  return streamedAsk(incoming, outgoing, new Upload(incoming, null, allowAll, limits.idleTimeoutMs))
}

/** Whether what the body asks for decides if it may be sent: which model, or what it can cost. */
function mustBeRead({ principal, endpoint, candidates }: Grant, own: LimitPolicy | null): boolean {
  if (endpoint?.model !== 'body') return false
  const { policy, group } = principal
  return (
    (own !== null && own.limit.unit !== 'requests') ||
    policy.models !== null ||
    candidates.some(
      ({ budgets, providerKey }) => budgets.length > 0 || providerKey.limits.some(countsTokens),
    ) ||
    policy.limits.some(countsTokens) ||
    group?.limits.some(countsTokens) === true
  )
}

function countsTokens({ unit }: Limit): boolean {
  return unit === 'tokens'
}

/** Whether a media type names no charset, or UTF-8 and that once. */
function isUtf8Type(type: string): boolean {
  const mentions = type.match(/charset/gi)?.length ?? 0
  return mentions === 0 || (mentions === 1 && /;\s*charset="?utf-8"?\s*(?:;|$)/i.test(type))
}

function countHeader(rawHeaders: readonly string[], lowerCaseName: string): number {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName) count++
  }
  return count
}

function emptyAsk(grant: Grant): Ask | Refusal {
  const refusal =
    grant.endpoint?.model === 'body'
      ? modelsRefusal(grant.principal.policy, { model: null, others: [], hiddenIn: null })
      : null
  return refusal ?? { ...nothingRead, body: null }
}

function jsonAsk(grant: Grant, limited: boolean, bytes: Buffer, share: BodyShare): Ask | Refusal {
  const body = parseJsonBody(bytes, share.take)
  if (body.kind === 'refused') return body
  if (limited && repeatsAName(body)) {
    return refuse('invalid_request', {
      message: 'An object in the body has a name twice: the provider might read the other value.',
    })
  }
  const asked = grant.candidates[0].provider.modelsAsked(body.fields)
  const refusal = grant.endpoint?.model === 'body' ? modelsRefusal(grant.principal.policy, asked) : null
  if (refusal !== null) return refusal
  const stream = body.fields.stream === true
  const withUsage = stream && grant.endpoint?.asksForUsage === true ? withIncludeUsage(body) : null
  return {
    kind: 'ask',
    body: withUsage ?? bytes,
    model: asked.model,
    stream,
    hideUsage: withUsage !== null,
    fields: body.fields,
    fieldBytes: bytes.length,
    bufferedBytes: bytes.length,
  }
}

function multipartAsk(
  grant: Grant,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  contentType: string,
  limited: boolean,
  idleTimeoutMs: number,
): Ask | Refusal {
  const boundary = boundaryOf(contentType)
  if (boundary === null) {
    return limited
      ? refuse('invalid_request', {
          param: 'content-type',
          message: 'The multipart content type must have one boundary.',
        })
      : streamedAsk(incoming, outgoing, new Upload(incoming, null, allowAll, idleTimeoutMs))
  }
  const decide: JudgeForm = ({ model, malformed }) => {
    if (!limited) return null
    if (malformed)
      return refuse('invalid_request', { message: 'The multipart form can be read in more than one way.' })
    return modelsRefusal(grant.principal.policy, { model, others: [], hiddenIn: null })
  }
  const scanner = new MultipartScanner(boundary)
  return streamedAsk(incoming, outgoing, new Upload(incoming, scanner, decide, idleTimeoutMs))
}

function allowAll(): null {
  return null
}

function streamedAsk(incoming: IncomingMessage, outgoing: ServerResponse, body: Upload): Ask {
  continueIfAsked(incoming, outgoing)
  return { ...nothingRead, body }
}

/** What is known of a body that has not been looked into. */
const nothingRead: Omit<Ask, 'body'> = Object.freeze({
  kind: 'ask',
  model: null,
  stream: false,
  hideUsage: false,
  fields: Object.freeze({}),
  fieldBytes: 0,
  bufferedBytes: 0,
})

/**
 * A client that sent `Expect: 100-continue` waits for this; one that is refused before never sends its body. Other
 * members beside it are ignored, as is the header in HTTP/1.0 (RFC 9110, section 10.1.1).
 */
function continueIfAsked({ headers, httpVersion }: IncomingMessage, outgoing: ServerResponse): void {
  if (httpVersion !== '1.0' && /(?:^|,)[ \t]*100-continue[ \t]*(?:,|$)/i.test(headers.expect ?? ''))
    outgoing.writeContinue()
}
