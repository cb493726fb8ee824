import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Grant } from './authorize.ts'
import type { BodyShare } from './buffered-bytes.ts'
import { withIncludeUsage } from './include-usage.ts'
import { parseJsonBody } from './json-body.ts'
import { modelsRefusal } from './models.ts'
import { boundaryOf, MultipartScanner } from './multipart-scanner.ts'
import { type Refusal, refuse } from './refusal.ts'
import { Upload } from './upload.ts'

/** What the client asks for, as far as the gateway must know it, and the bytes to send. */
export interface Ask {
  readonly kind: 'ask'
  readonly body: Buffer | Upload | null
  /** Null where the body names none, or where an upload has not told it yet. */
  readonly model: string | null
  readonly stream: boolean
  /** We asked for usage in the stream and the client did not: it is cut out of the answer again. */
  readonly hideUsage: boolean
  /** Bytes of the body that were received into memory. */
  readonly bufferedBytes: number
}

export interface ReadLimits {
  readonly maxJsonBytes: number
  /** How long a body may stand still. */
  readonly idleTimeoutMs: number
}

/** How long a JSON body may take to arrive: 32 MiB at 280 KB/s. Memory is held for it meanwhile. */
const jsonDeadlineMs = 120_000

/**
 * Reads the body as far as needed. JSON is buffered, since the model must be known before a byte is
 * sent; all else streams. `null`: the client left.
 */
export async function readAsk(
  grant: Grant,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  share: BodyShare,
  limits: ReadLimits,
): Promise<Ask | Refusal | null> {
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
  const limited = grant.principal.policy.models !== null && grant.endpoint?.model === 'body'
  if (limited && !isUtf8Type(type)) {
    return refuse('unsupported_media_type', {
      param: 'content-type',
      message: 'This API key is limited to certain models: send UTF-8, in which we can read them.',
    })
  }
  if (plain && (essence === 'application/json' || essence.endsWith('+json'))) {
    const bytes = await readWhole(incoming, outgoing, share, limits)
    return bytes === null || !Buffer.isBuffer(bytes) ? bytes : jsonAsk(grant, bytes)
  }
  // A form that names no model, as that of a file to keep, is not looked into.
  if (plain && essence === 'multipart/form-data' && grant.endpoint?.model === 'body')
    return multipartAsk(grant, incoming, outgoing, type, limited, limits.idleTimeoutMs)
  if (limited) {
    return refuse('unsupported_media_type', {
      param: 'content-type',
      message:
        'This API key is limited to certain models: send application/json or multipart/form-data, not encoded.',
    })
  }
  return streamedAsk(incoming, outgoing, new Upload(incoming, null, allowAll, limits.idleTimeoutMs))
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
  return (
    refusal ?? { kind: 'ask', body: null, model: null, stream: false, hideUsage: false, bufferedBytes: 0 }
  )
}

function jsonAsk(grant: Grant, bytes: Buffer): Ask | Refusal {
  const body = parseJsonBody(bytes)
  if (body.kind === 'refused') return body
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
  const decide = (model: string | null, malformed: boolean): Refusal | null => {
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
  return { kind: 'ask', body, model: null, stream: false, hideUsage: false, bufferedBytes: 0 }
}

/** A client that sent `Expect: 100-continue` waits for this; one that is refused before never sends its body. */
function continueIfAsked(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (incoming.headers.expect?.toLowerCase() === '100-continue') outgoing.writeContinue()
}

function readWhole(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  share: BodyShare,
  { maxJsonBytes, idleTimeoutMs }: ReadLimits,
): Promise<Buffer | Refusal | null> {
  const tooLarge = refuse('body_too_large', {
    message: `A JSON body may have ${maxJsonBytes} bytes here.`,
    details: { max_bytes: maxJsonBytes },
  })
  if (Number(incoming.headers['content-length'] ?? 0) > maxJsonBytes) return Promise.resolve(tooLarge)
  // The client may have left while its key was verified; then `close` has been and won't come again.
  if (incoming.destroyed) return Promise.resolve(null)
  continueIfAsked(incoming, outgoing)
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const late = () => finish(refuse('request_timeout'))
    const deadline = setTimeout(late, jsonDeadlineMs)
    const idle = setTimeout(late, idleTimeoutMs)
    const finish = (result: Buffer | Refusal | null) => {
      clearTimeout(deadline)
      clearTimeout(idle)
      incoming.off('data', onData).off('end', onEnd).off('close', onClose)
      if (result === null) incoming.destroy()
      resolve(result)
    }
    const onData = (chunk: Buffer) => {
      if (size + chunk.length > maxJsonBytes) return finish(tooLarge)
      if (!share.take(chunk.length)) return finish(refuse('overloaded'))
      size += chunk.length
      chunks.push(chunk)
      idle.refresh()
    }
    const onEnd = () =>
      finish(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size))
    const onClose = () => finish(null)
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', ignore)
  })
}

/** `close` follows every error of a request and says what there is to know. */
function ignore(): void {}
