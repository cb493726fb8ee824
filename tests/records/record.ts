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

/** What most requests are: a stream that tells its usage, from somebody who annotates. Its row is of the usual size. */
export function typicalRecord(change: Partial<RequestRecord> = {}): RequestRecord {
  return record({
    provider: 'openai',
    model: 'gpt-5-nano',
    responseModel: 'gpt-5-nano-2025-08-07',
    usage: {
      inputTokens: 1234,
      cachedInputTokens: 1024,
      outputTokens: 321,
      reasoningTokens: 64,
      inputAudioTokens: null,
      outputAudioTokens: null,
    },
    streamed: true,
    requestBytes: 1400,
    responseBytes: 26_000,
    timeToFirstByteMs: 212.123,
    durationMs: 1834.567,
    clientIp: '203.0.113.7',
    userId: 'user-1234',
    sessionId: 'session-5678',
    properties: { team: 'search', feature: 'autocomplete' },
    priceVersion: '1',
    ...change,
  })
}
