import type { IncomingMessage, ServerResponse } from 'node:http'
import { catalogue } from '@latchkey/shared'
import type { Provider } from '../providers/provider.ts'
import { faultBody } from './fault-body.ts'
import { linger } from './linger.ts'
import type { Refusal } from './refusal.ts'

/** Answers with a refusal, or destroys a connection on which an answer has begun. */
export function answerRefusal(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  provider: Provider,
  refusal: Refusal,
  ownHeaders: readonly string[],
): void {
  if (outgoing.headersSent || outgoing.destroyed) {
    outgoing.destroy()
    return
  }
  const { status, retryable } = catalogue[refusal.code]
  const body = Buffer.from(faultBody(provider, refusal))
  const retryAfter = retryable && status === 503 ? ['retry-after', '1'] : []
  outgoing.writeHead(status, [
    'content-type',
    'application/json',
    'content-length',
    String(body.length),
    ...retryAfter,
    ...ownHeaders,
  ])
  outgoing.end(body)
  linger(incoming)
}
