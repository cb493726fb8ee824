import type { Recorder } from '../records/recorder.ts'
import { type Refusal, refuse } from './refusal.ts'

/** The right to be sent: for now, a place in the record queue. Limits and holds are taken here too, in that order. */
export interface Admission {
  readonly kind: 'admitted'
}

const admitted: Admission = Object.freeze({ kind: 'admitted' })

/** Admits a request, or refuses it having taken nothing. An admission ends in exactly one record. */
export function admit(recorder: Recorder): Admission | Refusal {
  return recorder.reserve()
    ? admitted
    : refuse('overloaded', { message: 'Requests can’t be recorded fast enough. Try again shortly.' })
}
