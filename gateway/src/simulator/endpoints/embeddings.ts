import { jsonAnswer } from '../answer.ts'
import type { Endpoint } from '../endpoint.ts'
import { badField, type JsonObject, optionalText, optionalWhole, requiredText } from '../fields.ts'
import { report } from '../metering.ts'
import { countPrompt } from '../prompt.ts'
import { usageOf } from '../usage.ts'

const mostInputs = 2048

/** https://platform.openai.com/docs/api-reference/embeddings */
export const embeddings: Endpoint = {
  method: 'POST',
  path: '/embeddings',
  takes: 'json',
  answer: (call, body) => {
    const model = requiredText(body, 'model')
    const format = optionalText(body, 'encoding_format') ?? 'float'
    if (format !== 'float' && format !== 'base64')
      throw badField('encoding_format', 'must be float or base64')
    const dimensions =
      optionalWhole(body, 'dimensions', 1, 4096) ?? (model.endsWith('-3-large') ? 3072 : 1536)
    const inputs = inputsOf(body)
    const inputTokens = inputs.reduce<number>((sum, input) => sum + countPrompt(input).total, 0)
    const { billed, stated } = report(call.directions, usageOf({ inputTokens }))
    const data = inputs.map((input, index) => {
      const vector = vectorOf(JSON.stringify(input), dimensions)
      return {
        object: 'embedding',
        index,
        embedding: format === 'float' ? Array.from(vector) : base64(vector),
      }
    })
    const usage = stated === null ? {} : { usage: { prompt_tokens: inputTokens, total_tokens: inputTokens } }
    return jsonAnswer({ object: 'list', data, model, ...usage }, billed, stated !== null)
  },
}

// A list of numbers is one input: its tokens.
function inputsOf({ input }: JsonObject): readonly unknown[] {
  if (typeof input === 'string' && input !== '') return [input]
  if (!Array.isArray(input) || input.length === 0)
    throw badField('input', 'must be a string or a list that is not empty')
  if (typeof input[0] === 'number') return [input]
  if (input.length > mostInputs) throw badField('input', `has more than ${mostInputs} inputs`)
  return input
}

/** A unit vector that depends on `text` alone, so that equal texts are near and others are not. */
function vectorOf(text: string, dimensions: number): Float32Array {
  // FNV-1a, then xorshift32 (Marsaglia 2003).
  let state = 0x811c9dc5
  for (let index = 0; index < text.length; index++)
    state = Math.imul(state ^ text.charCodeAt(index), 0x01000193)
  state ||= 1
  const vector = new Float32Array(dimensions)
  let squares = 0
  for (let index = 0; index < dimensions; index++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const value = state / 2 ** 31
    vector[index] = value
    squares += value * value
  }
  const length = Math.sqrt(squares)
  return vector.map((value) => value / length)
}

// Little-endian, as the API has it and as every machine that Node runs on.
function base64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
}
