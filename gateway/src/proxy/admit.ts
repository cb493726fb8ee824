import type { Recorder } from '../records/recorder.ts'
import type { RequestRecord } from '../records/request-record.ts'
import { type Refusal, refuse } from './refusal.ts'

/** The right to be sent, which ends in exactly one record. Holds a place in the record queue until then. */
export interface Admission {
  readonly kind: 'admitted'
  /** Fills the place. What comes after the first record is ignored. */
  record(record: RequestRecord): void
}

/** Admits a request, or refuses it having taken nothing. */
export function admit(recorder: Recorder): Admission | Refusal {
  if (!recorder.reserve())
    return refuse('overloaded', { message: 'Requests can’t be recorded fast enough. Try again shortly.' })
  let recorded = false
  return {
    kind: 'admitted',
    record(record) {
      if (recorded) return
      recorded = true
      recorder.record(record)
    },
  }
}
