import type { TokenCounts } from '../../pricing/consumption.ts'
import { count, type Fields, fields, type UsageObject } from './usage-object.ts'

/**
 * The tokens of a usage object by what they are billed as; null where it counts none. `outputIsImage`: what output
 * is, unless the object says so itself. Details that claim more than their total are cut to it.
 */
export function tokenCounts(usage: UsageObject, outputIsImage: boolean): TokenCounts | null {
  const { input, output } = usage
  if (input === null && output === null) return null
  return {
    ...inputCounts(usage.inputDetails, input ?? 0),
    ...outputCounts(usage.outputDetails, output ?? 0, outputIsImage),
  }
}

function inputCounts(details: Fields, total: number) {
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

function outputCounts(details: Fields, total: number, outputIsImage: boolean) {
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
