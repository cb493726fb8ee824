import { type Consumption, noTokens } from '../../pricing/consumption.ts'
import { hostedToolCalls, imageToolTokens } from './hosted-tools.ts'
import { tokenCounts } from './token-counts.ts'
import type { Fields, UsageObject } from './usage-object.ts'

/**
 * What an answer with this usage says was used of what costs money; null where it counts nothing. `event`: the
 * answer itself, or the event of a stream that carries it. Transcriptions may tell seconds in place of tokens.
 */
export function consumptionOf(
  event: Fields,
  answer: Fields,
  usage: Fields,
  counted: UsageObject,
): Consumption | null {
  const timed = usage.type === 'duration'
  const tokens = tokenCounts(counted, makesImages(event))
  if (tokens === null && !timed) return null
  return {
    tokens: tokens ?? noTokens,
    audioMs: timed ? milliseconds(usage.seconds) : 0,
    serviceTier: typeof answer.service_tier === 'string' ? answer.service_tier : null,
    toolCalls: hostedToolCalls(answer),
    imageTool: imageToolTokens(answer),
  }
}

/** The image endpoints say only of some models whether output tokens are an image or text: all are an image else. */
function makesImages(event: Fields): boolean {
  const { type } = event
  if (typeof type === 'string') return type.startsWith('image_generation.') || type.startsWith('image_edit.')
  return event.object === undefined && 'created' in event && 'data' in event
}

/** Providers send seconds as a JSON number; below a microsecond it holds nothing but its own rounding. */
function milliseconds(seconds: unknown): number {
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds < 1e9)) return 0
  return Math.ceil(Math.round(seconds * 1e6) / 1000)
}
