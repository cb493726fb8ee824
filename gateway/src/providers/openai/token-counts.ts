import type { TokenCounts } from '../../pricing/consumption.ts'

/** A JSON object's members. */
export type Fields = Readonly<Record<string, unknown>>

/**
 * The tokens of a usage object in any of OpenAI's spellings; null where it counts none. `outputIsImage`: what
 * output is, unless the object says so itself.
 */
export function tokenCounts(usage: Fields, outputIsImage: boolean): TokenCounts | null {
  const input = count(usage.prompt_tokens ?? usage.input_tokens)
  const output = count(usage.completion_tokens ?? usage.output_tokens)
  if (input === null && output === null) return null
  return { ...inputCounts(usage, input ?? 0), ...outputCounts(usage, output ?? 0, outputIsImage) }
}

function inputCounts(usage: Fields, total: number) {
  const details =
    fields(usage.prompt_tokens_details) ??
    fields(usage.input_tokens_details) ??
    fields(usage.input_token_details) ??
    {}
  const cachedDetails = fields(details.cached_tokens_details) ?? {}
  const written = fields(details.cache_write_tokens_details) ?? {}
  const rest = new Remainder(total)
  const audio = new Remainder(rest.take(details.audio_tokens))
  const image = new Remainder(rest.take(details.image_tokens))
  const cachedAudio = audio.take(cachedDetails.audio_tokens)
  const cachedImage = image.take(cachedDetails.image_tokens)
  const cachedText = rest.take((count(details.cached_tokens) ?? 0) - cachedAudio - cachedImage)
  const writes = new Remainder(rest.take(details.cache_write_tokens))
  const cacheWriteLong = writes.take(written.ttl_12h_tokens)
  return {
    text: rest.left,
    audio: audio.left,
    image: image.left,
    cachedText,
    cachedAudio,
    cachedImage,
    cacheWrite: writes.left,
    cacheWriteLong,
  }
}

function outputCounts(usage: Fields, total: number, outputIsImage: boolean) {
  const details =
    fields(usage.completion_tokens_details) ??
    fields(usage.output_tokens_details) ??
    fields(usage.output_token_details) ??
    {}
  const rest = new Remainder(total)
  const outputAudio = rest.take(details.audio_tokens)
  if (outputIsImage && details.image_tokens === undefined) {
    return { outputText: 0, outputAudio, outputImage: rest.left }
  }
  const outputImage = rest.take(details.image_tokens)
  return { outputText: rest.left, outputAudio, outputImage }
}

/** What of a total is not yet spoken for. */
class Remainder {
  left: number

  constructor(total: number) {
    this.left = total
  }

  /** As many of `part` as there are. */
  take(part: unknown): number {
    const taken = Math.min(Math.max(count(part) ?? 0, 0), this.left)
    this.left -= taken
    return taken
  }
}

/** A count of tokens; null for what is none. */
function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

/** A JSON object's fields; null for anything else. */
export function fields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}
