import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, boundedAt } from './bound.ts'
import { barePrompts, inputCost } from './input-cost.ts'
import { readPrompts } from './input-size.ts'
import { askedPrice } from './model-price.ts'
import { parameterRefusal, parameterRules } from './parameters.ts'
import { promptsIn } from './prompts.ts'

/** Source: https://platform.openai.com/docs/api-reference/embeddings/create */
const rules = parameterRules(['input', 'model', 'dimensions', 'encoding_format', 'user'])

/** The most that a request to `/v1/embeddings` costs: it puts out nothing that is billed. */
export function boundEmbeddings(ask: PricedAsk, terms: BoundTerms): Bound {
  const refusal = parameterRefusal(ask.fields, rules, terms.prices.isOpenai(ask.provider))
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const { price, tier } = asked
  const prompts = ask.fields.input
  const windows = barePrompts(promptsIn(prompts))
  const input = inputCost(ask, terms, price, tier, readPrompts(prompts, 'input'), windows)
  if (input.kind === 'refused') return input
  return boundedAt(price, input.tokens, input.pico + (price.units.perRequest ?? 0n))
}
