import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Cidr, RequestId } from '@latchkey/shared'
import {
  type Clock,
  errorFields,
  isConnectionFault,
  LatchkeyError,
  type Log,
  type RandomBytes,
  uuidv7,
} from '@latchkey/shared'
import type { Verifier } from '@latchkey/vault'
import { openai } from '../providers/openai/openai.ts'
import { answerRefusal } from '../proxy/answer-refusal.ts'
import { authenticate } from '../proxy/authenticate.ts'
import { addressAllowed } from '../proxy/authorize.ts'
import { clientAddress } from '../proxy/client-address.ts'
import { corsHeaders } from '../proxy/cors.ts'
import type { Observer } from '../proxy/observer.ts'
import { type Refusal, refuse } from '../proxy/refusal.ts'
import type { Recorder } from '../records/recorder.ts'
import type { KeyViews } from './key-view.ts'

/** What the holder's view asks of the rest of the gateway. */
export interface HolderPorts {
  readonly verifier: Verifier
  readonly keyViews: KeyViews
  readonly recorder: Recorder
  readonly observer: Observer
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  readonly trustedProxies: readonly Cidr[]
  readonly corsOrigins: readonly string[]
}

/**
 * `GET /key`: what whoever holds a key may know of it. A paused or expired key may still be looked at, so that its
 * holder learns why it is refused; a revoked one may be in wrong hands. Nothing of it is recorded.
 */
export async function serveKey(
  ports: HolderPorts,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const requestId = uuidv7<RequestId>(ports.clock, ports.random)
  const headers = ['latchkey-request-id', requestId, ...corsHeaders(incoming, ports.corsOrigins)]
  outgoing.on('error', () => {})
  const refuseWith = (refusal: Refusal) => answerRefusal(incoming, outgoing, openai, refusal, headers)
  try {
    const authenticated = await authenticate(ports.verifier, incoming.rawHeaders, incoming.url ?? '')
    if (authenticated.kind === 'refused') {
      ports.recorder.countRefusal(authenticated.code)
      ports.observer.refused(authenticated.code)
      return refuseWith(authenticated)
    }
    const { principal } = authenticated
    const forwarded = String(incoming.headers['x-forwarded-for'] ?? '')
    const address = clientAddress(incoming.socket.remoteAddress ?? '', forwarded, ports.trustedProxies)
    if (principal.status === 'revoked') return refuseWith(refuse('revoked_api_key'))
    if (!addressAllowed(principal.policy, address)) return refuseWith(refuse('ip_not_allowed'))
    const body = Buffer.from(JSON.stringify(await ports.keyViews.view(principal)))
    outgoing
      .writeHead(200, [
        ...['content-type', 'application/json', 'content-length', String(body.length)],
        ...['cache-control', 'no-store', ...headers],
      ])
      .end(body)
  } catch (error) {
    if (error instanceof LatchkeyError && error.code === 'overloaded') return refuseWith(refuse('overloaded'))
    ports.log.error('request.failed', { requestId, ...errorFields(error) })
    refuseWith(refuse(isConnectionFault(error) ? 'database_unavailable' : 'internal_error'))
  }
}
