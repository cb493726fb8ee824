import { type Consumption, noTokens } from '../../pricing/consumption.ts'
import { hostedToolCalls, imageToolTokens } from './hosted-tools.ts'
import { type Fields, fields, tokenCounts } from './token-counts.ts'

/**
 * Reads what an answer, or the event of a stream that tells it, says was used: chat and legacy completions,
 * responses, embeddings, images, transcriptions by token and by length, `speech.audio.done`, and realtime's
 * `response.done`. Null where it does not say. Details that claim more than their total are cut to it.
 * Source: https://platform.openai.com/docs/api-reference, the `usage` object of each.
 */
export function readOpenaiConsumption(value: unknown): Consumption | null {
  const event = fields(value)
  if (event === null) return null
  const answer = fields(event.response) ?? event
  const usage = fields(answer.usage)
  if (usage === null) return null
  const tokens = tokenCounts(usage, makesImages(event))
  const audioMs = usage.type === 'duration' ? milliseconds(usage.seconds) : 0
  if (tokens === null && usage.type !== 'duration') return null
  return {
    tokens: tokens ?? noTokens,
    audioMs,
    serviceTier: typeof answer.service_tier === 'string' ? answer.service_tier : null,
    toolCalls: hostedToolCalls(answer),
    imageTool: imageToolTokens(answer),
  }
}

/** The image endpoints say only of some models whether output tokens are an image or text: all are an image else. */
function makesImages(event: Fields): boolean {
  const { type } = event
  if (typeof type === 'string') return type.startsWith('image_generation.') || type.startsWith('image_edit.')
  return event.object === undefined && 'created' in event && Array.isArray(event.data)
}

/** Providers send seconds as a JSON number; below a microsecond it holds nothing but its own rounding. */
function milliseconds(seconds: unknown): number {
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds < 1e9)) return 0
  return Math.ceil(Math.round(seconds * 1e6) / 1000)
}
