import { isObject, type JsonObject } from './fields.ts'
import { tokensOfBytes } from './tokens.ts'

// An image, file or sound in a prompt: OpenAI's price of an image in low detail.
const mostTokensOfPart = 85

/** Tokens of an input. */
export interface PromptTokens {
  readonly total: number
  readonly audio: number
}

/**
 * Counts the tokens of a prompt: its text at four bytes a token, and each image, file or sound at no
 * more than 85. Of messages, content parts and items it takes what a model would read.
 */
export function countPrompt(...inputs: readonly unknown[]): PromptTokens {
  const count: Count = { textBytes: 0, otherTokens: 0, audioTokens: 0 }
  for (const input of inputs) add(input, count)
  const total = Math.max(1, tokensOfBytes(count.textBytes) + count.otherTokens + count.audioTokens)
  return { total, audio: count.audioTokens }
}

/** Tokens of definitions that the model reads as they stand: tools, a response schema. */
export function definitionText(...values: readonly unknown[]): string {
  return values.map((value) => (value == null ? '' : JSON.stringify(value))).join('')
}

interface Count {
  textBytes: number
  otherTokens: number
  audioTokens: number
}

function add(input: unknown, count: Count): void {
  if (typeof input === 'string') count.textBytes += Buffer.byteLength(input)
  else if (typeof input === 'number') count.otherTokens += 1
  else if (Array.isArray(input)) for (const part of input) add(part, count)
  else if (isObject(input)) addPart(input, count)
}

function addPart(part: JsonObject, count: Count): void {
  switch (part.type) {
    case 'image_url':
    case 'input_image':
    case 'file':
    case 'input_file':
      count.otherTokens += Math.min(mostTokensOfPart, tokensOfBytes(Buffer.byteLength(JSON.stringify(part))))
      return
    case 'input_audio':
      count.audioTokens += Math.min(mostTokensOfPart, tokensOfBytes(Buffer.byteLength(JSON.stringify(part))))
      return
    default:
      for (const field of [
        'text',
        'content',
        'refusal',
        'name',
        'arguments',
        'output',
        'tool_calls',
        'function',
      ])
        add(part[field], count)
  }
}
