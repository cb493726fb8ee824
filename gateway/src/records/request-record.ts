import type {
  ErrorCode,
  GroupId,
  NanoUsd,
  OrganizationId,
  ProviderKeyId,
  ProxyKeyId,
  RequestId,
} from '@latchkey/shared'
import type { Settlement } from '../budget/settle.ts'
import type { Usage } from '../providers/provider.ts'

/** One proxied request, for the books. Times are wall-clock or elapsed milliseconds, sizes bytes. */
export interface RequestRecord {
  readonly id: RequestId
  readonly organizationId: OrganizationId
  readonly keyId: ProxyKeyId
  readonly keyName: string
  /** The key's group when the request was made. */
  readonly groupId: GroupId | null
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
  readonly code: ErrorCode | null
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
  /** Null where no price is known. */
  readonly cost: NanoUsd | null
  /** What its attempts held together; null where no budget held for it. */
  readonly held: NanoUsd | null
  /** The provider's own figure is not known, or something in it has no price. */
  readonly estimated: boolean
  readonly priceVersion: string | null
  /** Into which leases its cost settles, once the record is written. */
  readonly settlements: readonly Settlement[]
}
