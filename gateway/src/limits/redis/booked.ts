import type { LimitScope, LimitState } from '../rate-limiter.ts'
import type { Answer } from './call.ts'
import type { BookedLimit, ScopeBook } from './scope-book.ts'

/** One scope of a request with its limits, as this process has them. */
export interface Booked {
  readonly scope: LimitScope
  readonly book: ScopeBook
  readonly limits: readonly BookedLimit[]
}

/** Whether one of its limits is on slots. */
export function limitsSlots({ limits }: Booked): boolean {
  return limits.some(({ bucket }) => bucket === null)
}

/** The state of every limit by Redis' answer, which is remembered. What was taken in advance is still to be had. */
export function stateByAnswer(
  booked: readonly Booked[],
  { states }: Answer,
  now: number,
): readonly LimitState[] {
  const state: LimitState[] = []
  for (const { scope, limits } of booked) {
    for (const { stored: limit, bucket } of limits) {
      const { remaining, fullAfterMs } = states[state.length] ?? { remaining: 0, fullAfterMs: null }
      if (bucket === null || fullAfterMs === null) state.push({ scope, limit, remaining, fullAfterMs: null })
      else {
        bucket.see(limit.limit, remaining, fullAfterMs, now)
        state.push({ scope, limit, ...bucket.state(now) })
      }
    }
  }
  return state
}

/** The state of every limit as far as it is known here. None of them is on slots. */
export function stateByBooks(booked: readonly Booked[], now: number): readonly LimitState[] {
  const state: LimitState[] = []
  for (const { scope, limits } of booked) {
    for (const { stored: limit, bucket } of limits)
      if (bucket !== null) state.push({ scope, limit, ...bucket.state(now) })
  }
  return state
}
