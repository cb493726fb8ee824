import type { Endpoint } from '../provider.ts'

const generation: Endpoint = { model: 'body', tellsUsage: 'always', asksForUsage: false, listsModels: false }
const chat: Endpoint = { ...generation, asksForUsage: true }
const speech: Endpoint = { ...generation, tellsUsage: 'sometimes' }
const free: Endpoint = { ...generation, tellsUsage: 'never' }
const modelList: Endpoint = { model: 'none', tellsUsage: 'never', asksForUsage: false, listsModels: true }
const oneModel: Endpoint = { model: 'path', tellsUsage: 'never', asksForUsage: false, listsModels: false }

/**
 * The endpoints whose request names its model, by OpenAI's API reference
 * (https://platform.openai.com/docs/api-reference). Speech tells its usage only as events, moderation none.
 */
const posts: Readonly<Record<string, Endpoint>> = {
  '/v1/chat/completions': chat,
  '/v1/completions': chat,
  '/v1/responses': generation,
  '/v1/responses/compact': generation,
  '/v1/responses/input_tokens': free,
  '/v1/embeddings': generation,
  '/v1/images/generations': generation,
  '/v1/images/edits': generation,
  '/v1/images/variations': generation,
  '/v1/audio/speech': speech,
  '/v1/audio/transcriptions': generation,
  '/v1/audio/translations': generation,
  '/v1/moderations': free,
}

/** What is known of an endpoint of OpenAI's wire shape; null for one that is only passed through. */
export function openaiEndpoint(method: string, endpoint: string): Endpoint | null {
  if (method === 'POST') return Object.hasOwn(posts, endpoint) ? (posts[endpoint] ?? null) : null
  if (method !== 'GET' && method !== 'HEAD') return null
  if (endpoint === '/v1/models') return modelList
  return /^\/v1\/models\/[^/]+$/.test(endpoint) ? oneModel : null
}
