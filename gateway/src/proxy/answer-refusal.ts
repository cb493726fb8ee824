import type { IncomingMessage, ServerResponse } from 'node:http'
import { catalogue } from '@latchkey/shared'
import type { Provider } from '../providers/provider.ts'
import { linger } from './linger.ts'
import type { Refusal } from './refusal.ts'

/** Answers with a refusal in the provider's wire shape: the one place where a catalogue error becomes bytes. */
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
  const { status, type, message, retryable } = catalogue[refusal.code]
  const body = Buffer.from(
    provider.errorBody({
      message: refusal.message ?? message,
      type,
      code: refusal.code,
      param: refusal.param ?? null,
      ...(refusal.details === undefined ? {} : { details: refusal.details }),
    }),
  )
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
