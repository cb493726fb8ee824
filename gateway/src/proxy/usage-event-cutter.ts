import { eventValue, lastEventEnd, mentionsUsage } from './event-stream.ts'
import { GatheredBytes } from './gathered-bytes.ts'

const longestUsageEvent = 64 * 1024
/** There is one in a stream. Who sends very many wants us to be busy. */
const mostParsed = 1000

/**
 * Cuts out of a chat-completion stream the one event that is there because we asked for usage and
 * the client did not: the one with usage and an empty `choices`. Every other byte passes as it came,
 * an event that is not complete yet a moment later, when it is.
 */
export class UsageEventCutter {
  /** An event that is not complete yet. */
  readonly #held = new GatheredBytes()
  #parsed = 0

  /** The bytes that may go on now. */
  push(chunk: Buffer): Buffer {
    const before = this.#held.length
    if (before === 0 && lastEventEnd(chunk) === chunk.length) return this.#withoutUsageEvents(chunk)
    this.#held.append(chunk)
    // No event ends in what was held, unless its last byte has waited for what follows.
    const complete = Math.max(0, lastEventEnd(this.#held.bytes, Math.max(0, before - 1)))
    // What is longer than any usage event need not be waited for.
    if (this.#held.length - complete > longestUsageEvent) return this.end()
    if (complete === 0) return nothing
    const bytes = this.#held.take()
    if (complete < bytes.length) this.#held.append(bytes.subarray(complete))
    return this.#withoutUsageEvents(bytes.subarray(0, complete))
  }

  /** What is held when the stream has ended properly. Where it broke, a partial event is not passed on. */
  end(): Buffer {
    return this.#withoutUsageEvents(this.#held.take())
  }

  #withoutUsageEvents(bytes: Buffer): Buffer {
    if (!mentionsUsage(bytes)) return bytes
    const kept: Buffer[] = []
    let keptTo = bytes.length
    for (let end = bytes.length, start: number; end > 0; end = start) {
      start = Math.max(0, lastEventEnd(bytes, 0, end - 1))
      if (!this.#isUsageEvent(bytes.subarray(start, end))) continue
      kept.push(bytes.subarray(end, keptTo))
      keptTo = start
    }
    if (kept.length === 0) return bytes
    return Buffer.concat([bytes.subarray(0, keptTo), ...kept.reverse()])
  }

  #isUsageEvent(event: Buffer): boolean {
    // Some providers tell usage in each event: those with choices need no parser.
    if (!mentionsUsage(event) || !noChoices.test(event.toString('latin1'))) return false
    if (++this.#parsed > mostParsed) return false
    const value = eventValue(event)
    if (typeof value !== 'object' || value === null || !('choices' in value) || !('usage' in value))
      return false
    const { choices, usage } = value
    return Array.isArray(choices) && choices.length === 0 && typeof usage === 'object' && usage !== null
  }
}

const nothing = Buffer.alloc(0)
const noChoices = /"choices"\s*:\s*\[\s*\]/
