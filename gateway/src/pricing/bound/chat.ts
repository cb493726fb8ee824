import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, type Unbounded, unboundedParameter, unpricedModel } from './bound.ts'
import { inputCost } from './input-cost.ts'
import { readMessages } from './input-size.ts'
import { askedPrice } from './model-price.ts'
import {
  isRefused,
  mostChoices,
  mostOutput,
  parameterRefusal,
  parameterRules,
  toolRefusal,
  wholeNumber,
} from './parameters.ts'
import { boundedText, type CapAsked } from './text-output.ts'

/** Source: https://platform.openai.com/docs/api-reference/chat/create */
const rules = parameterRules(
  [
    ...['messages', 'model', 'audio', 'frequency_penalty', 'function_call', 'functions', 'logit_bias'],
    ...['logprobs', 'max_completion_tokens', 'max_tokens', 'metadata', 'modalities', 'moderation', 'n'],
    ...['parallel_tool_calls', 'presence_penalty', 'prompt_cache_key', 'prompt_cache_options'],
    ...['prompt_cache_retention', 'reasoning_effort', 'response_format', 'safety_identifier', 'seed'],
    ...['service_tier', 'stop', 'store', 'stream', 'stream_options', 'temperature', 'tool_choice', 'tools'],
    ...['top_logprobs', 'top_p', 'user', 'verbosity'],
  ],
  // Rejected tokens of a prediction are billed as output, beyond the cap.
  { prediction: null },
)

const clientTools: ReadonlySet<string> = new Set(['function', 'custom'])

/** The most that a request to `/v1/chat/completions` costs. */
export function boundChat(ask: PricedAsk, terms: BoundTerms): Bound {
  const { fields } = ask
  const isOpenai = terms.prices.isOpenai(ask.provider)
  const refusal = parameterRefusal(fields, rules, isOpenai) ?? toolRefusal(fields.tools, clientTools)
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const { price, tier } = asked
  const input = inputCost(ask, terms, price, tier, readMessages(fields.messages))
  if (input.kind === 'refused') return input
  const cap = capAsked(fields, isOpenai)
  const choices = wholeNumber(fields, 'n', 1n, 1, mostChoices(isOpenai))
  if (isRefused(cap)) return cap
  if (isRefused(choices)) return choices
  const { output, audioOutput } = input.ceiling
  if (output === null) return unpricedModel('model')
  const speaks = Array.isArray(fields.modalities) && fields.modalities.includes('audio')
  if (speaks && audioOutput === null) return unboundedParameter('modalities')
  return boundedText(
    price,
    input,
    {
      ...cap,
      least: 1n,
      choices,
      rate: speaks && audioOutput !== null && audioOutput > output ? audioOutput : output,
    },
    terms,
  )
}

/** The caps of a chat. OpenAI honours either; compatible APIs are known to honour the older name only. */
function capAsked(
  fields: PricedAsk['fields'],
  isOpenai: boolean,
): Pick<CapAsked, 'field' | 'given' | 'elsewhere'> | Unbounded {
  const completion = wholeNumber(fields, 'max_completion_tokens', null, 1, mostOutput)
  const legacy = wholeNumber(fields, 'max_tokens', null, 1, mostOutput)
  if (isRefused(completion)) return completion
  if (isRefused(legacy)) return legacy
  if (!isOpenai) return { field: 'max_tokens', given: legacy, elsewhere: completion }
  if (legacy === null) return { field: 'max_completion_tokens', given: completion }
  return completion === null
    ? { field: 'max_tokens', given: legacy }
    : unboundedParameter('max_tokens', 'Give one output cap.')
}
