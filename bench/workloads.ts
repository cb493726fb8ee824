import { wishText } from './provider/wishes.ts'

/** What a gateway is given to do. */
export type Workload = {
  readonly name: string
  /** For the heading of its table. */
  readonly title: string
  /** The request body. */
  readonly body: (seconds: number) => string
} & (
  | { readonly kind: 'closed-loop'; readonly connections: number; readonly manyKeys: boolean }
  | { readonly kind: 'streams'; readonly streams: number; readonly pace: number }
  | { readonly kind: 'steady'; readonly perSecond: number }
)

/** How long streams take to be opened, and are then left to settle. */
export const rampMs = 1000
export const settleMs = 1000

const connections = 64

/** Everything that is measured, in the order in which it is. */
export const workloads: readonly Workload[] = [
  {
    name: 'json',
    title: 'Small JSON: 1.4 KB in, 0.9 KB out, 64 connections',
    kind: 'closed-loop',
    connections,
    manyKeys: false,
    body: () => body(40, {}),
  },
  {
    name: 'sse',
    title: 'SSE burst: 100 events at once, 64 connections',
    kind: 'closed-loop',
    connections,
    manyKeys: false,
    body: () => streamBody(100, 0),
  },
  {
    name: 'large',
    title: 'Large JSON: 100 KB in, 64 connections',
    kind: 'closed-loop',
    connections,
    manyKeys: false,
    body: () => body(5000, {}),
  },
  paced(64, 100),
  paced(256, 100),
  paced(1000, 20),
  {
    name: 'rate',
    title: 'Small JSON at 500 requests a second',
    kind: 'steady',
    perSecond: 500,
    body: () => body(40, {}),
  },
  // The last one: what it leaves in caches would be in the others' memory.
  {
    name: 'keys',
    title: 'Small JSON, a different key with each request',
    kind: 'closed-loop',
    connections,
    manyKeys: true,
    body: () => body(40, {}),
  },
]

/** Requests of every kind, as bodies that are sent in turn. */
export const mixedBodies: readonly string[] = [
  body(40, {}),
  streamBody(100, 0),
  streamBody(30, 100),
  body(40, {}),
  body(5000, {}),
  streamBody(10, 20),
  body(5, {}),
]

function paced(streams: number, pace: number): Workload {
  return {
    name: `paced-${streams}`,
    title: `Paced SSE: ${streams} streams of ${pace} events a second`,
    kind: 'streams',
    streams,
    pace,
    // As long as it is looked at, and a second more: no stream ends meanwhile.
    body: (seconds) => streamBody(Math.ceil(((rampMs + settleMs) / 1000 + seconds + 1) * pace), pace),
  }
}

function streamBody(events: number, pace: number): string {
  const wish = { stream: true, stream_options: { include_usage: true }, user: wishText(events, pace) }
  return body(40, wish)
}

/** A chat request with `sentences` of 22 bytes in its prompt. */
function body(sentences: number, more: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    model: 'gpt-4o-mini',
    messages: [
      { role: 'system', content: `You are a helpful assistant. ${'Answer to the point. '.repeat(12)}` },
      { role: 'user', content: 'Explain event loops. '.repeat(sentences) },
    ],
    max_tokens: 256,
    temperature: 0.7,
    ...more,
  })
}
