import { type NanoUsd, nanoUsd } from '@latchkey/shared'
import { mostLimit } from '../budget/change-budget.ts'
import { type Consumption, noConsumption } from '../pricing/consumption.ts'
import { costOf, noPieces } from '../pricing/cost.ts'
import type { AttemptEnd } from './attempt-end.ts'
import type { Quote } from './quote.ts'

/** What an attempt did cost. */
export interface Charge {
  /** Null: it is not known, and nothing was held that could stand for it. */
  readonly cost: NanoUsd | null
  /** It is what was held, or holds something that has no price: the provider's own figure may differ. */
  readonly estimated: boolean
}

const nothing: Charge = Object.freeze({ cost: nanoUsd(0n), estimated: false })
const unknown: Charge = Object.freeze({ cost: null, estimated: false })

/**
 * What an attempt did cost, by how it ended. Exact where its usage is known. A success that does not tell it, and
 * whatever reached the provider and has no status, cost what was `held` for it (null: nothing was). A refusal of
 * the provider's without usage, and what never reached it, cost nothing.
 */
export function chargeOf(quote: Quote, held: NanoUsd | null, end: AttemptEnd): Charge {
  if (quote.bound.kind === 'bounded' && quote.bound.price === null) return nothing
  switch (end.kind) {
    case 'answered': {
      const { status, reading, whole } = end.answer
      const told = priced(quote, reading?.consumption ?? null, status < 300)
      if (told === null) return status < 300 ? most(held) : nothing
      // Some providers tell their usage all along: what was told before a break is only what it had come to by then.
      return whole ? told : { cost: greater(told.cost, held), estimated: true }
    }
    case 'discarded':
      return nothing
    case 'failed':
    case 'disconnected':
      return end.status === null ? (end.sent ? most(held) : nothing) : end.status < 300 ? most(held) : nothing
    default:
      return end satisfies never
  }
}

function priced(quote: Quote, told: Consumption | null, success: boolean): Charge | null {
  const { prices, pieces } = quote
  if (prices === null || (told === null && (!success || pieces === null))) return null
  const { nanoUsd: cost, unpriced } = costOf(prices, inTier(told ?? noConsumption, quote), pieces ?? noPieces)
  // No provider bills as much; what claims it must not keep its record out of the books.
  return cost > mostLimit ? { cost: mostLimit, estimated: true } : { cost, estimated: unpriced.length > 0 }
}

/** What an answer leaves unsaid was served as it was asked for. */
function inTier(used: Consumption, { serviceTier }: Quote): Consumption {
  return used.serviceTier !== null || serviceTier === null ? used : { ...used, serviceTier }
}

function greater(cost: NanoUsd | null, held: NanoUsd | null): NanoUsd | null {
  return cost === null || (held !== null && held > cost) ? held : cost
}

function most(held: NanoUsd | null): Charge {
  return held === null ? unknown : { cost: held, estimated: true }
}
