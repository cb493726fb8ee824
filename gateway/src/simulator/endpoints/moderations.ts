import { jsonAnswer } from '../answer.ts'
import type { Endpoint } from '../endpoint.ts'
import { badField, type JsonObject, optionalText } from '../fields.ts'

/** Finds nothing wrong: https://platform.openai.com/docs/api-reference/moderations */
export const moderations: Endpoint = {
  method: 'POST',
  path: '/moderations',
  takes: 'json',
  answer: (call, body) => {
    const results = Array.from({ length: countInputs(body) }, () => harmless)
    const model = optionalText(body, 'model') ?? 'omni-moderation-latest'
    return jsonAnswer({ id: `modr-${call.id}`, model, results })
  },
}

const categories = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
] as const

const harmless = {
  flagged: false,
  categories: forAll(false),
  category_scores: forAll(0.0001),
  category_applied_input_types: forAll(['text']),
}

function forAll<Value>(value: Value): Readonly<Record<string, Value>> {
  return Object.fromEntries(categories.map((category) => [category, value]))
}

// A list of strings is several inputs, a list of content parts is one.
function countInputs({ input }: JsonObject): number {
  if (typeof input === 'string') return 1
  if (!Array.isArray(input) || input.length === 0 || input.length > 2048)
    throw badField('input', 'must be a string or a list of up to 2048')
  return typeof input[0] === 'string' ? input.length : 1
}
