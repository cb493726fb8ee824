import { eventValue, lastEventEnd, mentionsUsage } from './event-stream.ts'
import { GatheredBytes } from './gathered-bytes.ts'

const leastKept = 4 * 1024
const mostKept = 8 * 2 ** 20
/** Usage stands in the last event, or before one that only says that the stream is done. */
const eventsKept = 2
const mostParsed = 4

/**
 * Keeps the end of an event stream while it passes: the last two events whole, and at least 4 KiB. Usage stands
 * there, so nothing is parsed, or even looked at, for each event. What is longer than 8 MiB is forgotten.
 */
export class StreamTail {
  readonly #kept = new GatheredBytes()
  #trimAt = 2 * leastKept

  push(chunk: Buffer): void {
    this.#kept.append(chunk)
    if (this.#kept.length >= this.#trimAt) this.#trim()
  }

  /** What the last events that mention usage carry, newest first. To be called once, at the end. */
  *usageEvents(): Generator<unknown> {
    const bytes = this.#kept.take()
    for (let end = bytes.length, parsed = 0; end > 0 && parsed < mostParsed; ) {
      const start = Math.max(0, lastEventEnd(bytes, 0, end - 1))
      const event = bytes.subarray(start, end)
      end = start
      if (!mentionsUsage(event)) continue
      parsed++
      yield eventValue(event)
    }
  }

  /** Comes again when there is twice as much, so that the longest of events is looked through a few times only. */
  #trim(): void {
    const { bytes, length } = this.#kept
    let from = lastEventEnd(bytes)
    for (let events = 0; events < eventsKept && from > 0; events++) from = lastEventEnd(bytes, 0, from - 1)
    const drop = Math.min(from, length - leastKept)
    if (drop > 0) this.#kept.dropFirst(drop)
    if (this.#kept.length >= mostKept) this.#kept.take()
    this.#trimAt = Math.min(mostKept, 2 * Math.max(leastKept, this.#kept.length))
  }
}
