/** The encodings that we have a tokenizer for, by the names that OpenAI gives them. */
export const encodingNames = ['o200k_base', 'cl100k_base'] as const
export type EncodingName = (typeof encodingNames)[number]

/**
 * By the model's name, or what it begins with before a hyphen. Only what OpenAI's own tokenizer lists: a newer
 * model may have another one, and a wrong count could be too low.
 * Source: https://github.com/openai/tiktoken/blob/main/tiktoken/model.py
 */
const families: readonly (readonly [family: string, encoding: EncodingName])[] = [
  ['gpt-5', 'o200k_base'],
  ['gpt-4.5', 'o200k_base'],
  ['gpt-4.1', 'o200k_base'],
  ['gpt-4o', 'o200k_base'],
  ['chatgpt-4o', 'o200k_base'],
  ['o1', 'o200k_base'],
  ['o3', 'o200k_base'],
  ['o4-mini', 'o200k_base'],
  ['gpt-4', 'cl100k_base'],
  ['gpt-3.5-turbo', 'cl100k_base'],
  ['text-embedding-ada-002', 'cl100k_base'],
  ['text-embedding-3-small', 'cl100k_base'],
  ['text-embedding-3-large', 'cl100k_base'],
]

/** How OpenAI encodes text for `model`; null where that is not known. A fine-tuned model encodes as its base. */
export function encodingOf(model: string): EncodingName | null {
  const [, base = model] = /^ft:([^:]+):/.exec(model) ?? []
  const found = families.find(([family]) => base === family || base.startsWith(`${family}-`))
  return found?.[1] ?? null
}
