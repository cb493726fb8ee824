import type { WireError } from '../provider.ts'

/** OpenAI's error object. Its SDKs pick their exception class by the status and show these fields. */
export function openaiErrorBody(error: WireError): string {
  return JSON.stringify({ error })
}

/**
 * The event that makes OpenAI's SDKs raise in the middle of a stream: `error` in an unnamed event,
 * and for the Responses API an `error` event that carries the fields itself too.
 * Source: https://platform.openai.com/docs/api-reference/responses-streaming/error
 */
export function openaiStreamError(endpoint: string, error: WireError): string {
  if (!endpoint.startsWith('/v1/responses')) return `data: ${openaiErrorBody(error)}\n\n`
  const { code, message, param } = error
  return `event: error\ndata: ${JSON.stringify({ type: 'error', code, message, param, error })}\n\n`
}
