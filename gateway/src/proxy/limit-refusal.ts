import { refusalHeaders } from '../limits/headers.ts'
import type { LimitRefusal } from '../limits/rate-limiter.ts'
import { refusalMessage } from '../limits/refusal-message.ts'
import { type Refusal, refuse } from './refusal.ts'

/** The refusal that a client sees where a rate limit refuses its request. */
export function refuseByLimit(refusal: LimitRefusal): Refusal {
  return refuse('rate_limit_exceeded', {
    message: refusalMessage(refusal),
    headers: refusalHeaders(refusal),
  })
}
