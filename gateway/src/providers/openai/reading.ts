import type { AnswerMembers, Reading } from '../provider.ts'
import { consumptionOf } from './consumption.ts'
import { count, fields, usageObject } from './usage-object.ts'

/** The members of a JSON answer that `readOpenai` looks at. Of `data`, images or embeddings, it wants no more than to know of it. */
export const openaiAnswerMembers: AnswerMembers = {
  read: new Set([
    ...['usage', 'model', 'service_tier', 'object', 'created', 'type'],
    ...['output', 'tools', 'tool_usage', 'reasoning'],
  ]),
  noticed: new Set(['data']),
}

/**
 * Reads what an answer, or the event of a stream that tells it, says was used: chat and legacy completions,
 * responses, embeddings, images, transcriptions, `speech.audio.done`, and realtime's `response.done`. Its usage stands
 * beside the answer, or inside `response`. Null where there is none.
 * Source: https://platform.openai.com/docs/api-reference, the `usage` object of each.
 */
export function readOpenai(value: unknown): Reading | null {
  const event = fields(value)
  if (event === null) return null
  const answer = fields(event.response) ?? event
  const usage = fields(answer.usage)
  if (usage === null) return null
  const counted = usageObject(usage)
  const { input, output, inputDetails, outputDetails } = counted
  return {
    model: typeof answer.model === 'string' ? answer.model : null,
    usage: {
      inputTokens: input,
      cachedInputTokens: count(inputDetails.cached_tokens),
      outputTokens: output,
      reasoningTokens: count(outputDetails.reasoning_tokens),
      inputAudioTokens: count(inputDetails.audio_tokens),
      outputAudioTokens: count(outputDetails.audio_tokens),
    },
    consumption: consumptionOf(event, answer, usage, counted),
  }
}
