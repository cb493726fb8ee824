import {
  type OrganizationId,
  type ProxyKeyId,
  type RequestId,
  systemClock,
  systemRandom,
  uuidv7,
} from '@latchkey/shared'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'

/** An id of a request that began at a moment. */
export const newRequestId = (at = systemClock.now()) =>
  uuidv7<RequestId>({ ...systemClock, now: () => at }, systemRandom)

/** A request that was answered and cost nothing. */
export function record(change: Partial<RequestRecord> = {}): RequestRecord {
  return {
    id: newRequestId(),
    organizationId: uuidv7<OrganizationId>(systemClock, systemRandom),
    keyId: 'AAAAAAAAAAAA' as ProxyKeyId,
    keyName: 'alice',
    groupId: null,
    providerKeyId: null,
    provider: null,
    method: 'POST',
    endpoint: '/v1/chat/completions',
    model: 'm',
    responseModel: null,
    status: 200,
    code: null,
    attempts: 1,
    usage: null,
    usageMissing: false,
    streamed: false,
    disconnected: false,
    truncated: false,
    requestBytes: 1,
    responseBytes: 2,
    timeToFirstByteMs: 3.5,
    durationMs: 4.5,
    clientIp: '127.0.0.1',
    userId: null,
    sessionId: null,
    properties: {},
    startedAt: systemClock.now(),
    cost: null,
    held: null,
    estimated: false,
    priceVersion: null,
    settlements: [],
    ...change,
  }
}
