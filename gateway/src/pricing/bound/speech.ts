import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, boundedAt, unboundedParameter } from './bound.ts'
import { inputCost } from './input-cost.ts'
import { textOnly } from './input-size.ts'
import { askedPrice } from './model-price.ts'
import { parameterRefusal, parameterRules } from './parameters.ts'

/** Source: https://platform.openai.com/docs/api-reference/audio/createSpeech */
const rules = parameterRules([
  ...['input', 'model', 'voice', 'instructions', 'response_format', 'speed', 'stream_format'],
])

/** The most that a request to `/v1/audio/speech` costs: by its characters, or by the model's maximum of tokens. */
export function boundSpeech(ask: PricedAsk, terms: BoundTerms): Bound {
  const { fields } = ask
  const refusal = parameterRefusal(fields, rules, terms.prices.isOpenai(ask.provider))
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const { price, tier } = asked
  const { perCharacter } = price.units
  if (perCharacter !== null) {
    if (typeof fields.input !== 'string') return unboundedParameter('input')
    // UTF-16 units: never fewer than the characters that are billed.
    return boundedAt(price, 0n, BigInt(fields.input.length) * perCharacter)
  }
  const input = inputCost(ask, terms, price, tier, textOnly())
  if (input.kind === 'refused') return input
  const { maxOutputTokens } = price.limits
  const { audioOutput } = input.ceiling
  if (maxOutputTokens === null || audioOutput === null) {
    return unboundedParameter('model', 'How long this model may speak has no known bound.')
  }
  return boundedAt(price, input.tokens, input.pico + maxOutputTokens * audioOutput, maxOutputTokens)
}
