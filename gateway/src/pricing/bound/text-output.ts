import type { Price } from '../price.ts'
import type { BoundTerms } from './ask.ts'
import { type Bounded, boundedByCap, type OutputCap } from './bound.ts'
import type { InputCost } from './input-cost.ts'

/** How the output of a request is capped. */
export interface CapAsked {
  readonly field: string
  /** What the client gave; null: nothing. */
  readonly given: bigint | null
  readonly least: bigint
  readonly choices: bigint
  /** The most that a token of the output costs, in pico-dollars. */
  readonly rate: bigint
}

/**
 * The bound of a request whose output is text or speech: the input, and `choices` times the client's cap.
 * Without one it is the terms' default, or the model's maximum where that is less.
 */
export function boundedText(price: Price, input: InputCost, asked: CapAsked, terms: BoundTerms): Bounded {
  const cap: OutputCap = {
    field: asked.field,
    tokens: asked.given ?? ownCap(price, terms),
    given: asked.given !== null,
    least: asked.least,
    fixedPico: input.pico + (price.units.perRequest ?? 0n),
    picoPerToken: asked.rate * asked.choices,
    choices: asked.choices,
  }
  return boundedByCap(price, input.tokens, cap)
}

function ownCap({ limits }: Price, terms: BoundTerms): bigint {
  const wanted = BigInt(terms.defaultCap)
  return limits.maxOutputTokens !== null && wanted > limits.maxOutputTokens ? limits.maxOutputTokens : wanted
}
