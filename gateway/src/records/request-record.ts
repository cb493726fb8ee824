import type { OrganizationId, ProviderKeyId, ProxyKeyId, RequestId } from '@latchkey/shared'
import type { Usage } from '../providers/provider.ts'

/** One proxied request, for the books. Times are wall-clock or elapsed milliseconds, sizes bytes. */
export interface RequestRecord {
  readonly id: RequestId
  readonly organizationId: OrganizationId
  readonly keyId: ProxyKeyId
  readonly keyName: string
  readonly providerKeyId: ProviderKeyId | null
  readonly provider: string | null
  readonly method: string
  /** The path from `/v1` on, without its query string. */
  readonly endpoint: string
  readonly model: string | null
  readonly responseModel: string | null
  /** What the client was answered; 499 where it left before there was an answer. */
  readonly status: number
  /** The catalogue's code where the answer is ours and not the provider's. */
  readonly code: string | null
  readonly attempts: number
  readonly usage: Usage | null
  readonly usageMissing: boolean
  readonly streamed: boolean
  readonly disconnected: boolean
  readonly truncated: boolean
  readonly requestBytes: number
  readonly responseBytes: number
  readonly timeToFirstByteMs: number | null
  readonly durationMs: number
  readonly clientIp: string
  readonly userId: string | null
  readonly sessionId: string | null
  readonly properties: Readonly<Record<string, string>>
  readonly startedAt: number
}
