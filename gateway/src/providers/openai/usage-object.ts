/** A JSON object's members. */
export type Fields = Readonly<Record<string, unknown>>

/** A usage object, whatever it calls its members. Source: https://platform.openai.com/docs/api-reference */
export interface UsageObject {
  /** All input and output tokens; null where they are not told. */
  readonly input: number | null
  readonly output: number | null
  /** What they are made of; empty where that is not told. */
  readonly inputDetails: Fields
  readonly outputDetails: Fields
}

/** Chat says prompt and completion; all else says input and output; realtime says token in the singular. */
export function usageObject(usage: Fields): UsageObject {
  return {
    input: count(usage.prompt_tokens ?? usage.input_tokens),
    output: count(usage.completion_tokens ?? usage.output_tokens),
    inputDetails:
      fields(usage.prompt_tokens_details) ??
      fields(usage.input_tokens_details) ??
      fields(usage.input_token_details) ??
      none,
    outputDetails:
      fields(usage.completion_tokens_details) ??
      fields(usage.output_tokens_details) ??
      fields(usage.output_token_details) ??
      none,
  }
}

const none: Fields = Object.freeze({})

/** A count of tokens; null for what is none. An upstream's nonsense must not reach the books. */
export function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

/** A JSON object's members; null for anything else. */
export function fields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}
