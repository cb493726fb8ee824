import { eventData } from './stream-tail.ts'

const nothing = Buffer.alloc(0)
const longestUsageEvent = 64 * 1024

/**
 * Cuts out of a chat-completion stream the one event that is there because we asked for usage and
 * the client did not: the one with usage and an empty `choices`. Every other byte passes as it came,
 * an event that is not complete yet a moment later, when it is.
 */
export class UsageEventCutter {
  #held: Buffer = nothing

  /** The bytes that may go on now. */
  push(chunk: Buffer): Buffer {
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const complete = endOfLastEvent(data)
    // What is longer than any usage event need not be waited for.
    const hold = data.length - complete > longestUsageEvent ? data.length : complete
    this.#held = data.subarray(hold)
    return withoutUsageEvents(data.subarray(0, hold))
  }

  /** What is held when the stream has ended properly. Where it broke, a partial event is not passed on. */
  end(): Buffer {
    const held = this.#held
    this.#held = nothing
    return withoutUsageEvents(held)
  }
}

function endOfLastEvent(data: Buffer): number {
  const newline = data.lastIndexOf('\n\n')
  const crlf = data.lastIndexOf('\r\n\r\n')
  return Math.max(newline === -1 ? 0 : newline + 2, crlf === -1 ? 0 : crlf + 4)
}

function withoutUsageEvents(data: Buffer): Buffer {
  // Native search first: nearly no chunk holds the event, and none is parsed for nothing.
  if (!data.includes('"usage"') || !/"choices"\s*:\s*\[\s*\]/.test(data.toString('latin1'))) return data
  const kept: Buffer[] = []
  let at = 0
  while (at < data.length) {
    const end = nextEventEnd(data, at)
    const event = data.subarray(at, end)
    if (!isUsageEvent(event)) kept.push(event)
    at = end
  }
  return Buffer.concat(kept)
}

function nextEventEnd(data: Buffer, from: number): number {
  const newline = data.indexOf('\n\n', from)
  const crlf = data.indexOf('\r\n\r\n', from)
  const ends = [newline === -1 ? data.length : newline + 2, crlf === -1 ? data.length : crlf + 4]
  return Math.min(...ends)
}

function isUsageEvent(event: Buffer): boolean {
  try {
    const value: unknown = JSON.parse(eventData(event.toString('utf8').trimEnd()))
    if (typeof value !== 'object' || value === null || !('choices' in value) || !('usage' in value))
      return false
    return (
      Array.isArray(value.choices) &&
      value.choices.length === 0 &&
      typeof value.usage === 'object' &&
      value.usage !== null
    )
  } catch {
    return false
  }
}
