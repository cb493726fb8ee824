import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { onTestFinished } from 'vitest'
import { z } from 'zod'

const value = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ intValue: z.string().regex(/^-?[0-9]+$/) }),
  z.strictObject({ doubleValue: z.number() }),
  z.strictObject({ boolValue: z.boolean() }),
])
const attributes = z.array(z.strictObject({ key: z.string(), value }))
const nanoseconds = z.string().regex(/^[0-9]{19}$/)
const span = z.strictObject({
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  spanId: z.string().regex(/^[0-9a-f]{16}$/),
  parentSpanId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  traceState: z.string().optional(),
  name: z.string().min(1),
  kind: z.union([z.literal(2), z.literal(3)]),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds,
  attributes,
  status: z.strictObject({ code: z.literal(2) }).optional(),
  flags: z.literal(1),
})
const exported = z.strictObject({
  resourceSpans: z.tuple([
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeSpans: z.tuple([
        z.strictObject({
          scope: z.strictObject({ name: z.string(), version: z.string() }),
          spans: z.array(span).min(1),
        }),
      ]),
    }),
  ]),
})

/** A span as it arrived. */
export interface CollectedSpan extends Omit<z.output<typeof span>, 'attributes'> {
  readonly attributes: Readonly<Record<string, string | number | boolean>>
}

/** An answer of the collector's. */
export interface CollectorAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** An OpenTelemetry collector on a real socket, which reads OTLP in JSON strictly. */
export interface Collector {
  /** What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be. */
  readonly endpoint: string
  readonly spans: readonly CollectedSpan[]
  /** All bodies, as they came. */
  readonly bodies: readonly string[]
  readonly headers: readonly IncomingHttpHeaders[]
  readonly resource: Readonly<Record<string, string | number | boolean>>
  /** What it answers from now on; a promise makes it slow. */
  answer(next: () => CollectorAnswer | Promise<CollectorAnswer>): void
  /** Resolves when `count` spans have come. */
  received(count: number): Promise<readonly CollectedSpan[]>
}

/** Starts one on a free port; it ends with the test, or when `ends` calls what it is given. */
export async function startCollector(ends: (close: () => void) => void = onTestFinished): Promise<Collector> {
  const spans: CollectedSpan[] = []
  const bodies: string[] = []
  const headers: IncomingHttpHeaders[] = []
  let resource: Collector['resource'] = {}
  let answer: () => CollectorAnswer | Promise<CollectorAnswer> = () => ({ status: 200, body: '{}' })
  let arrived = Promise.withResolvers<void>()
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    bodies.push(text)
    headers.push(incoming.headers)
    const { status, headers: more = {}, body = '' } = await answer()
    if (incoming.method !== 'POST' || incoming.url !== '/v1/traces') throw new Error(`${incoming.url}`)
    if (incoming.headers['content-type'] !== 'application/json') throw new Error('no JSON')
    const [{ resource: by, scopeSpans }] = exported.parse(JSON.parse(text)).resourceSpans
    if (status < 300) {
      resource = plain(by.attributes)
      for (const each of scopeSpans[0].spans) spans.push({ ...each, attributes: plain(each.attributes) })
    }
    outgoing.writeHead(status, { 'content-type': 'application/json', ...more }).end(body)
    arrived.resolve()
    arrived = Promise.withResolvers()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    spans,
    bodies,
    headers,
    get resource() {
      return resource
    },
    answer(next) {
      answer = next
    },
    async received(count) {
      while (spans.length < count) await arrived.promise
      return spans
    },
  }
}

function plain(list: z.output<typeof attributes>): CollectedSpan['attributes'] {
  const names = list.map(({ key }) => key)
  if (new Set(names).size !== names.length) throw new Error('an attribute stands twice')
  return Object.fromEntries(
    list.map(({ key, value: of }) => [
      key,
      'intValue' in of
        ? Number(of.intValue)
        : 'stringValue' in of
          ? of.stringValue
          : 'boolValue' in of
            ? of.boolValue
            : of.doubleValue,
    ]),
  )
}
