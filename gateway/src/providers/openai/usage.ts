import type { Reading } from '../provider.ts'

type Fields = Readonly<Record<string, unknown>>

function fields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}

/** A token count; null for what is no count. An upstream's nonsense must not reach the books. */
function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

/**
 * Reads usage from a JSON answer or one event of a stream, in any of OpenAI's shapes: `usage` beside
 * the answer (chat, completions, embeddings, images, transcriptions, `speech.audio.done`) or inside
 * `response` (the Responses API's events). Names differ: prompt/completion in chat, input/output
 * elsewhere. Source: https://platform.openai.com/docs/api-reference, the `usage` object of each.
 */
export function readOpenaiUsage(value: unknown): Reading | null {
  const answer = fields(value)
  if (answer === null) return null
  const inner = fields(answer.response) ?? answer
  const usage = fields(inner.usage)
  if (usage === null) return null
  const input =
    fields(usage.prompt_tokens_details) ??
    fields(usage.input_tokens_details) ??
    fields(usage.input_token_details)
  const output =
    fields(usage.completion_tokens_details) ??
    fields(usage.output_tokens_details) ??
    fields(usage.output_token_details)
  const model = inner.model
  return {
    model: typeof model === 'string' ? model : null,
    usage: {
      inputTokens: count(usage.prompt_tokens ?? usage.input_tokens),
      cachedInputTokens: count(input?.cached_tokens),
      outputTokens: count(usage.completion_tokens ?? usage.output_tokens),
      reasoningTokens: count(output?.reasoning_tokens),
      inputAudioTokens: count(input?.audio_tokens),
      outputAudioTokens: count(output?.audio_tokens),
    },
  }
}
