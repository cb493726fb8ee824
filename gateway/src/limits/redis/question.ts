import { costOf, type LimitCost, slotRetryAfterMs } from '../cost.ts'
import { type Booked, limitsSlots } from './booked.ts'
import type { AskedLimit, Correction, LimitsCall, SlotChanges } from './call.ts'

export interface QuestionOptions {
  /** The request, in slots. */
  readonly id: string
  /** The most that it can use. */
  readonly cost: LimitCost
  /** Requests like this one to be taken in advance, of what `instances` share. */
  readonly ahead: number
  readonly instances: number
  /** Chunks that go back with it. */
  readonly chunks: 'all' | 'lapsed'
  readonly now: number
}

/** The call that asks for a request, and takes along what its scopes have to tell. */
export function questionOf(booked: readonly Booked[], options: QuestionOptions): LimitsCall {
  const { id, cost, ahead, instances, chunks, now } = options
  const corrections: Correction[] = []
  const slots: SlotChanges[] = []
  const limits: AskedLimit[] = []
  for (const each of booked) {
    const { book } = each
    book.collectCorrections(now, chunks, corrections)
    book.collectSlots(limitsSlots(each), slots)
    for (const { stored, bucket } of each.limits) {
      const { limit } = stored
      limits.push(
        bucket === null
          ? { key: book.slotsKey, periodMs: null, limit, cost: slotRetryAfterMs }
          : { key: bucket.key, periodMs: bucket.periodMs, limit, cost: costOf(stored.unit, cost) },
      )
    }
  }
  // Half of what is free stays so, or others were refused for what nobody uses.
  return { corrections, slots, question: { limits, id, ahead, spared: 2 * instances } }
}
