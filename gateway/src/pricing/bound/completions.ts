import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, unpricedModel } from './bound.ts'
import { barePrompts, inputCost } from './input-cost.ts'
import { readPrompts } from './input-size.ts'
import { askedPrice } from './model-price.ts'
import {
  isRefused,
  mostChoices,
  mostOutput,
  parameterRefusal,
  parameterRules,
  wholeNumber,
} from './parameters.ts'
import { promptsIn } from './prompts.ts'
import { boundedText } from './text-output.ts'

/** Source: https://platform.openai.com/docs/api-reference/completions/create */
const rules = parameterRules([
  ...['model', 'prompt', 'best_of', 'echo', 'frequency_penalty', 'logit_bias', 'logprobs', 'max_tokens', 'n'],
  ...['presence_penalty', 'seed', 'stop', 'stream', 'stream_options', 'suffix', 'temperature', 'top_p'],
  'user',
])

/** What the endpoint caps the output at where the request does not. Source: as above. */
const ownDefaultCap = 16n

/** The most that a request to the legacy `/v1/completions` costs. */
export function boundCompletions(ask: PricedAsk, terms: BoundTerms): Bound {
  const { fields } = ask
  const isOpenai = terms.prices.isOpenai(ask.provider)
  const refusal = parameterRefusal(fields, rules, isOpenai)
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const prompts = promptsIn(fields.prompt)
  const size = readPrompts(fields.prompt, 'prompt')
  const input = inputCost(ask, terms, asked.price, asked.tier, size, barePrompts(prompts))
  if (input.kind === 'refused') return input
  const given = wholeNumber(fields, 'max_tokens', isOpenai ? ownDefaultCap : null, 0, mostOutput)
  const shown = wholeNumber(fields, 'n', 1n, 1, mostChoices(isOpenai))
  // Each of the best-of is generated and billed, shown or not.
  const generated = wholeNumber(fields, 'best_of', 1n, 1, mostChoices(isOpenai))
  if (isRefused(given)) return given
  if (isRefused(shown)) return shown
  if (isRefused(generated)) return generated
  const { output } = input.ceiling
  if (output === null) return unpricedModel('model')
  const choices = prompts * (generated > shown ? generated : shown)
  const cap = { field: 'max_tokens', given, least: 1n, choices, rate: output }
  return boundedText(asked.price, input, cap, terms)
}
