import type { Price } from '../price.ts'
import type { BoundTerms } from './ask.ts'
import { type Bounded, boundedByCap, type OutputCap } from './bound.ts'
import type { InputCost } from './input-cost.ts'

/** How the output of a request is capped. */
export interface CapAsked {
  readonly field: string
  /** What the client gave in it; null: nothing. */
  readonly given: bigint | null
  /** What the client gave in another field that not every provider reads; null: nothing. */
  readonly elsewhere?: bigint | null
  readonly least: bigint
  readonly choices: bigint
  /** The most that a token of the output costs, in pico-dollars. */
  readonly rate: bigint
}

/**
 * The bound of a request whose output is text or speech: the input, and `choices` times the client's cap.
 * Without one it is the terms' default, or the model's maximum where that is less. A cap `elsewhere` stays in
 * the request and may be the one that is honoured: then ours goes beside it, and neither may be lowered.
 */
export function boundedText(price: Price, input: InputCost, asked: CapAsked, terms: BoundTerms): Bounded {
  const { given, elsewhere = null } = asked
  const tokens = greater(given, elsewhere) ?? ownCap(price, terms)
  const cap: OutputCap = {
    field: asked.field,
    tokens,
    given: given !== null,
    least: elsewhere === null ? asked.least : tokens,
    fixedPico: input.pico + (price.units.perRequest ?? 0n),
    picoPerToken: asked.rate * asked.choices,
    choices: asked.choices,
  }
  return boundedByCap(price, input.tokens, cap)
}

function greater(left: bigint | null, right: bigint | null): bigint | null {
  if (left === null || right === null) return left ?? right
  return left > right ? left : right
}

function ownCap({ limits }: Price, terms: BoundTerms): bigint {
  const wanted = BigInt(terms.defaultCap)
  return limits.maxOutputTokens !== null && wanted > limits.maxOutputTokens ? limits.maxOutputTokens : wanted
}
