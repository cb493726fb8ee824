import type { StatusWire, WorkerWire } from '@latchkey/shared'
import type { Family } from '../../metrics/exposition.ts'

/** What one worker tells of itself when any of them is asked about all. */
export interface Self {
  metrics(): readonly Family[]
  status(): NonNullable<WorkerWire['self']>
}

/** All workers of a gateway, as one of them reaches them. */
export interface Siblings {
  /** From now on, `self` answers for this worker. */
  join(self: Self): void
  /** The metrics of all workers, in Prometheus's text format; null where the supervisor does not answer. */
  metricsPage(): Promise<string | null>
  /** All workers; null where the supervisor does not answer. */
  list(): Promise<StatusWire['workers']>
}
