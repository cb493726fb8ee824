/** What a request's text asks of the benchmark's provider, so that every gateway passes it on. */
export interface Wishes {
  readonly stream: boolean
  readonly includeUsage: boolean
  /** Events of a stream. */
  readonly events: number
  /** Events a second; 0: all at once. */
  readonly pace: number
}

const word = /bench: events=(\d+) pace=(\d+)/

/** The words that tell the provider how to stream. */
export function wishText(events: number, pace: number): string {
  return `bench: events=${events} pace=${pace}`
}

/** Reads what a body asks for. It is looked through, not parsed: the provider must cost little. */
export function readWishes(body: Buffer): Wishes {
  if (!body.includes('"stream"')) return noStream
  const text = body.toString('latin1')
  if (!/"stream"\s*:\s*true/.test(text)) return noStream
  const found = word.exec(text)
  return {
    stream: true,
    includeUsage: /"include_usage"\s*:\s*true/.test(text),
    events: Number(found?.[1] ?? 100),
    pace: Number(found?.[2] ?? 0),
  }
}

const noStream: Wishes = { stream: false, includeUsage: false, events: 0, pace: 0 }
