import type { Directions } from './directions.ts'
import type { Generation } from './generation.ts'
import type { PromptTokens } from './prompt.ts'
import { type Usage, usageOf } from './usage.ts'

/** What an answer costs and what it says of that. */
export interface Metered {
  readonly billed: Usage
  /** Null where the answer is to say nothing. */
  readonly stated: Usage | null
}

/** Adds up what `choices` used. A lie is billed as it is told: a provider charges what it reports. */
export function meter(directions: Directions, prompt: PromptTokens, choices: readonly Generation[]): Metered {
  const inputTokens = directions.inputTokens ?? prompt.total
  const usage = usageOf({
    inputTokens,
    cachedInputTokens: Math.min(inputTokens, directions.cachedTokens),
    audioInputTokens: prompt.audio,
    outputTokens: choices.reduce((sum, choice) => sum + choice.outputTokens, 0),
    reasoningTokens: choices.reduce((sum, choice) => sum + choice.reasoningTokens, 0),
  })
  return report(directions, usage)
}

/** What is stated of `usage`, as the request's faults have it. */
export function report(directions: Directions, usage: Usage): Metered {
  const { usage: kind } = directions.faults
  switch (kind.kind) {
    case 'true':
      return { billed: usage, stated: usage }
    case 'omitted':
      return { billed: usage, stated: null }
    case 'lie': {
      const { outputTokens } = kind
      const lie = { ...usage, outputTokens, reasoningTokens: Math.min(usage.reasoningTokens, outputTokens) }
      return { billed: lie, stated: lie }
    }
    default:
      return kind satisfies never
  }
}

/** The `usage` object of chat completions and completions. */
export function completionUsage(usage: Usage): object {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cachedInputTokens,
      audio_tokens: usage.audioInputTokens,
    },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

/** The `usage` object of responses. */
export function responseUsage(usage: Usage): object {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: { cached_tokens: usage.cachedInputTokens, cache_write_tokens: 0 },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.inputTokens + usage.outputTokens,
  }
}

/** The `usage` object of images; `imageInputTokens` is the part of the input that is not text. */
export function imageUsage(usage: Usage, imageInputTokens: number): object {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: {
      text_tokens: usage.inputTokens - imageInputTokens,
      image_tokens: imageInputTokens,
    },
    output_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
  }
}

/** The `usage` object of speech and transcriptions that are billed by token. */
export function audioUsage(usage: Usage): object {
  return {
    type: 'tokens',
    input_tokens: usage.inputTokens,
    input_token_details: {
      text_tokens: usage.inputTokens - usage.audioInputTokens,
      audio_tokens: usage.audioInputTokens,
    },
    output_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
  }
}
