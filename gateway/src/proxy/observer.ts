import type { ErrorCode } from '@latchkey/shared'
import type { RequestRecord } from '../records/request-record.ts'

/** Is told of every request once, at its end. It neither waits nor throws, and keeps nothing of what it is shown. */
export interface Observer {
  /** A request was refused whose key is not known: it has no record. */
  refused(code: ErrorCode): void
  /**
   * A request of a known key is over. `providerKeyName` is that of its last attempt, null where there was none;
   * `ownMs` is what the gateway itself took, without the waits for client and provider.
   */
  ended(record: RequestRecord, providerKeyName: string | null, ownMs: number): void
}
