import type { RequestRecord } from './request-record.ts'

/**
 * Takes request records and writes them behind the requests' backs. Nothing here waits: a request
 * takes its place before it is sent, so that what is served can always be recorded.
 */
export interface Recorder {
  /** Takes a place for one record; false where the queue has none left, and nothing may be sent. */
  reserve(): boolean
  /** Gives a place back that was reserved and is not needed. */
  release(): void
  /** Enqueues a record into a place that was reserved. */
  record(record: RequestRecord): void
  /** Enqueues the record of a refused request, if more than half of the queue is free; else counts it as dropped. */
  recordRefusal(record: RequestRecord): void
  /** Counts a refusal of a request whose key is not known. */
  countRefusal(code: string): void
  /**
   * Writes what is queued, then stops. What can't be written by `deadline` (monotonic ms) is kept where the next start
   * finds it, if it can be.
   */
  close(deadline: number): Promise<void>
}
