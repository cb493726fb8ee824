import type { Endpoint } from '../provider.ts'

const generation: Endpoint = { model: 'body', metered: true, asksForUsage: false, listsModels: false }
const chat: Endpoint = { ...generation, asksForUsage: true }
const unmetered: Endpoint = { ...generation, metered: false }
const modelList: Endpoint = { model: 'none', metered: false, asksForUsage: false, listsModels: true }
const oneModel: Endpoint = { model: 'path', metered: false, asksForUsage: false, listsModels: false }

/**
 * The endpoints whose request names its model, by OpenAI's API reference
 * (https://platform.openai.com/docs/api-reference). Speech and moderation tell no usage.
 */
const posts: Readonly<Record<string, Endpoint>> = {
  '/v1/chat/completions': chat,
  '/v1/completions': chat,
  '/v1/responses': generation,
  '/v1/responses/compact': generation,
  '/v1/responses/input_tokens': unmetered,
  '/v1/embeddings': generation,
  '/v1/images/generations': generation,
  '/v1/images/edits': generation,
  '/v1/images/variations': generation,
  '/v1/audio/speech': unmetered,
  '/v1/audio/transcriptions': generation,
  '/v1/audio/translations': generation,
  '/v1/moderations': unmetered,
}

/** What is known of an endpoint of OpenAI's wire shape; null for one that is only passed through. */
export function openaiEndpoint(method: string, endpoint: string): Endpoint | null {
  if (method === 'POST') return Object.hasOwn(posts, endpoint) ? (posts[endpoint] ?? null) : null
  if (method !== 'GET' && method !== 'HEAD') return null
  if (endpoint === '/v1/models') return modelList
  return /^\/v1\/models\/[^/]+$/.test(endpoint) ? oneModel : null
}
