import { dearer } from '../resolve-price.ts'
import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, boundedAt, unboundedParameter } from './bound.ts'
import { ceilingOf } from './ceiling.ts'
import { askedPrice } from './model-price.ts'
import { parameterRefusal, parameterRules } from './parameters.ts'

/** Source: https://platform.openai.com/docs/api-reference/audio/createTranscription */
const rules = parameterRules(
  [
    ...['file', 'model', 'include', 'include[]', 'keywords', 'known_speaker_names', 'language', 'languages'],
    ...['prompt', 'response_format', 'stream', 'temperature', 'timestamp_granularities'],
    'timestamp_granularities[]',
  ],
  // Each chunk is a run of the model with a window and an output of its own.
  { chunking_strategy: null },
)

const secondsPerMinute = 60n

/**
 * The most that transcribing or translating an upload costs. Its bytes bound nothing (an hour of silence
 * fits into a few kilobytes), so only the model's context window does, or a length that the provider sets.
 */
export function boundTranscription(ask: PricedAsk, terms: BoundTerms): Bound {
  const refusal = parameterRefusal(ask.fields, rules, terms.prices.isOpenai(ask.provider))
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const { price, tier } = asked
  const { contextWindow, maxOutputTokens, maxAudioSeconds } = price.limits
  const { perMinute } = price.units
  if (perMinute !== null) {
    if (maxAudioSeconds === null) {
      return unboundedParameter(
        'model',
        'It is billed by the minute, and no parameter bounds the length of audio.',
      )
    }
    return boundedAt(price, 0n, (maxAudioSeconds * perMinute + secondsPerMinute - 1n) / secondsPerMinute)
  }
  const ceiling = contextWindow === null ? null : ceilingOf(price, tier, contextWindow)
  const input = ceiling === null ? null : dearer(ceiling.text, ceiling.audio)
  if (ceiling === null || contextWindow === null || input === null) return unboundedParameter('file')
  if (maxOutputTokens === null || ceiling.output === null) return unboundedParameter('model')
  const pico = contextWindow * input + maxOutputTokens * ceiling.output
  return boundedAt(price, contextWindow, pico, maxOutputTokens)
}
