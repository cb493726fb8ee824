import type { IncomingMessage, ServerResponse } from 'node:http'
import { catalogue } from '@latchkey/shared'
import type { Provider } from '../providers/provider.ts'
import { cutOff } from './cut-off.ts'
import { faultBody } from './fault-body.ts'
import { linger } from './linger.ts'
import type { Refusal } from './refusal.ts'

/** Answers with a refusal, or cuts off a connection on which an answer has begun. */
export function answerRefusal(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  provider: Provider,
  refusal: Refusal,
  ownHeaders: readonly string[],
): void {
  if (outgoing.headersSent || outgoing.destroyed) {
    cutOff(outgoing)
    return
  }
  const { status, retryable } = catalogue[refusal.code]
  const body = faultBody(provider, refusal)
  const retryAfter = retryable && status === 503 ? ['retry-after', '1'] : []
  // So that a client that keeps its connections goes to another gateway with the next request.
  const closing = refusal.code === 'draining' ? ['connection', 'close'] : []
  outgoing.writeHead(status, [
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(body)),
    ...retryAfter,
    ...closing,
    ...(refusal.headers ?? []),
    ...ownHeaders,
  ])
  // As text it leaves in one piece with its headers.
  outgoing.end(body)
  linger(incoming)
}
