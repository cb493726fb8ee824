import { costOf, type LimitCost } from '../cost.ts'
import type { Booked } from './booked.ts'

/** A chunk is asked for so that a busy key makes about so many calls a second. */
const callsPerSecond = 5
/** The part of a limit that all instances together may have in advance. */
const mostShare = 0.05
/** Fewer are not worth the bookkeeping. */
const fewest = 2

/**
 * How many more requests like this one are worth taking in advance: what is asked for in a fifth of a second, as
 * long as it is a small part of every limit. 0 for keys that are not busy, small limits and limits on slots.
 */
export function sizeAhead(
  booked: readonly Booked[],
  each: LimitCost,
  instances: number,
  now: number,
): number {
  let ahead = Number.POSITIVE_INFINITY
  for (const { book, limits } of booked) {
    ahead = Math.min(ahead, book.demand.perSecond(now) / callsPerSecond)
    for (const { stored, bucket } of limits) {
      if (bucket === null || bucket.asking) return 0
      const cost = costOf(stored.unit, each)
      if (cost > 0) ahead = Math.min(ahead, (stored.limit * mostShare) / (instances * cost))
    }
  }
  return ahead < fewest ? 0 : Math.floor(ahead)
}
