/**
 * Keeps the end of an event stream by reference while it passes: the last events whole, whatever
 * their size, and at least the last 16 KiB. Usage stands in one of them, so nothing is parsed until
 * the stream has ended. A boundary that two chunks share is missed, which keeps more, never less.
 */
export class StreamTail {
  #chunks: Buffer[] = []
  /** Where the first kept chunk starts, and where the last one ends, in bytes of the stream. */
  #start = 0
  #end = 0
  /** Ends of the last three events seen, oldest first. */
  #boundaries: [number, number, number] = [0, 0, 0]
  #tooLarge = false

  push(chunk: Buffer): void {
    if (this.#tooLarge) return
    this.#noteBoundaries(chunk)
    this.#chunks.push(chunk)
    this.#end += chunk.length
    const keepFrom = Math.min(this.#boundaries[0], this.#end - leastKept)
    let drop = 0
    let first = this.#chunks[0]
    while (first !== undefined && this.#start + first.length <= keepFrom) {
      this.#start += first.length
      first = this.#chunks[++drop]
    }
    if (drop > 0) this.#chunks.splice(0, drop)
    if (this.#end - this.#start > mostKept) {
      this.#tooLarge = true
      this.#chunks = []
    }
  }

  /** The data of the kept events, newest first, parsed; those that are not JSON are left out. */
  *events(): Generator<unknown> {
    const text = Buffer.concat(this.#chunks).toString('utf8')
    const events = text.split(/\r\n\r\n|\n\n|\r\r/)
    for (const event of events.reverse()) {
      const data = eventData(event)
      if (data === '' || data === '[DONE]') continue
      const parsed = parse(data)
      if (parsed !== undefined) yield parsed
    }
  }

  #noteBoundaries(chunk: Buffer): void {
    const found: number[] = []
    let at = chunk.length
    while (found.length < 3 && at > 0) {
      at = lastEventEnd(chunk, at - 1)
      if (at === -1) break
      found.unshift(this.#end + at)
    }
    const [a, b, c] = [...this.#boundaries, ...found].slice(-3)
    this.#boundaries = [a ?? 0, b ?? 0, c ?? 0]
  }
}

const leastKept = 16 * 1024
const mostKept = 8 * 2 ** 20

/** Where the last event that ends at or before `from` ends, or -1. Event streams end events by an empty line. */
function lastEventEnd(chunk: Buffer, from: number): number {
  const newline = chunk.lastIndexOf('\n\n', from)
  if (newline !== -1) return newline
  return chunk.lastIndexOf('\r\n\r\n', from)
}

/** The `data` of one event, its lines joined (WHATWG HTML, section 9.2.6). */
export function eventData(event: string): string {
  const lines: string[] = []
  for (const line of event.split(/\r\n|\n|\r/)) {
    if (line.startsWith('data:')) lines.push(line.slice(line.charCodeAt(5) === 0x20 ? 6 : 5))
  }
  return lines.join('\n')
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}
