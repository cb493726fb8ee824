import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, boundedAt, unboundedParameter, unpricedModel } from './bound.ts'
import { inputCost } from './input-cost.ts'
import { type InputSize, readInputItems } from './input-size.ts'
import { askedPrice } from './model-price.ts'
import {
  isRefused,
  mostOutput,
  parameterRefusal,
  parameterRules,
  toolRefusal,
  wholeNumber,
} from './parameters.ts'
import { boundedText } from './text-output.ts'

/** Source: https://platform.openai.com/docs/api-reference/responses/create */
const rules = parameterRules(
  [
    ...['conversation', 'image', 'include', 'input', 'instructions', 'max_output_tokens', 'max_tool_calls'],
    ...['metadata', 'model', 'moderation', 'parallel_tool_calls', 'previous_response_id', 'prompt_cache_key'],
    ...['prompt_cache_options', 'prompt_cache_retention', 'safety_identifier', 'service_tier', 'store'],
    ...['stream', 'stream_options', 'temperature', 'text', 'tool_choice', 'tools', 'top_logprobs', 'top_p'],
    ...['truncation', 'user'],
  ],
  {
    // Its usage is told only when somebody asks for the answer.
    background: (value) => value === false,
    // A stored prompt may bring hosted tools, which stand in no request.
    prompt: null,
    // Compaction is a further run of the model.
    context_management: null,
    access_programs: null,
    // The endpoint has no choices; one that has some multiplies its output by them.
    n: (value) => value === 1,
    // The pro mode runs the model several times.
    reasoning: (value) =>
      typeof value === 'object' &&
      value !== null &&
      (!('mode' in value) || value.mode === null || value.mode === 'standard'),
  },
)

const clientTools: ReadonlySet<string> = new Set(['function', 'custom'])

/** The least that the endpoint accepts as an output cap. Source: as above. */
const leastCap = 16n

/** The most that a request to `/v1/responses` costs. */
export function boundResponses(ask: PricedAsk, terms: BoundTerms): Bound {
  const { fields } = ask
  const refusal =
    parameterRefusal(fields, rules, terms.prices.isOpenai(ask.provider)) ??
    toolRefusal(fields.tools, clientTools)
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const input = inputCost(ask, terms, asked.price, asked.tier, responsesInput(fields))
  if (input.kind === 'refused') return input
  const given = wholeNumber(fields, 'max_output_tokens', null, 1, mostOutput)
  if (isRefused(given)) return given
  const { output } = input.ceiling
  if (output === null) return unpricedModel('model')
  const cap = { field: 'max_output_tokens', given, least: leastCap, choices: 1n, rate: output }
  return boundedText(asked.price, input, cap, terms)
}

/** The most that compacting a conversation costs: it takes no cap, so the model's maximum is the bound. */
export function boundCompaction(ask: PricedAsk, terms: BoundTerms): Bound {
  const { fields } = ask
  const refusal = parameterRefusal(fields, rules, terms.prices.isOpenai(ask.provider))
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const { price, tier } = asked
  const input = inputCost(ask, terms, price, tier, responsesInput(fields))
  if (input.kind === 'refused') return input
  const most = price.limits.maxOutputTokens
  const { output } = input.ceiling
  if (most === null || output === null) {
    return unboundedParameter('model', 'How much this model can put out is not known.')
  }
  return boundedAt(price, input.tokens, input.pico + most * output, most)
}

/** The input items, and what stands in no request: the conversation that it goes on with. */
function responsesInput(fields: PricedAsk['fields']): InputSize {
  const size = readInputItems(fields.input)
  const instructions = fields.instructions ?? null
  if (instructions !== null && typeof instructions !== 'string') size.opaque ??= 'instructions'
  for (const name of ['previous_response_id', 'conversation'] as const) {
    if (fields[name] !== undefined && fields[name] !== null) size.opaque ??= name
  }
  return size
}
