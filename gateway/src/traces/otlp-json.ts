import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AttributeValue, Span } from './span.ts'

/** Who made the spans. */
export interface Resource {
  readonly serviceName: string
  readonly serviceVersion: string
  /** Tells processes of one service apart. */
  readonly instanceId: string
}

const kinds = { server: 2, client: 3 } as const
const failedStatus = { code: 2 } as const
/** So many are made into text at a time: no request in flight waits for more. */
const chunk = 50
const longestText = 1024

/**
 * `spans` as an ExportTraceServiceRequest in JSON. Ids are hexadecimal, enums numbers, 64-bit numbers texts
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
 */
export async function otlpJson(spans: readonly Span[], resource: Resource): Promise<string> {
  const parts: string[] = []
  for (let at = 0; at < spans.length; at += chunk) {
    if (at > 0) await nextTurn()
    parts.push(JSON.stringify(spans.slice(at, at + chunk).map(encode)).slice(1, -1))
  }
  const attributes = encodeAttributes({
    'service.name': resource.serviceName,
    'service.version': resource.serviceVersion,
    'service.instance.id': resource.instanceId,
  })
  const scope = { name: 'latchkey', version: resource.serviceVersion }
  return `{"resourceSpans":[{"resource":${JSON.stringify({ attributes })},"scopeSpans":[{"scope":${JSON.stringify(scope)},"spans":[${parts.join(',')}]}]}]}`
}

function encode(span: Span) {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentId === null ? {} : { parentSpanId: span.parentId }),
    ...(span.state === null ? {} : { traceState: span.state }),
    name: short(span.name),
    kind: kinds[span.kind],
    startTimeUnixNano: nanoseconds(span.start),
    endTimeUnixNano: nanoseconds(Math.max(span.start, span.end)),
    attributes: encodeAttributes(span.attributes),
    ...(span.failed ? { status: failedStatus } : {}),
    flags: 1,
  }
}

function encodeAttributes(attributes: Readonly<Record<string, AttributeValue | null>>) {
  return Object.entries(attributes).flatMap(([key, value]) =>
    value === null ? [] : [{ key, value: encodeValue(value) }],
  )
}

function encodeValue(value: AttributeValue) {
  switch (typeof value) {
    case 'string':
      return { stringValue: short(value) }
    case 'boolean':
      return { boolValue: value }
    case 'bigint':
      return { intValue: String(value) }
    case 'number':
      return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value }
    default:
      return value satisfies never
  }
}

/** As a text: nanoseconds since the epoch are more than a number holds. */
function nanoseconds(milliseconds: number): string {
  const whole = Math.floor(milliseconds)
  return `${whole}${String(Math.floor((milliseconds - whole) * 1e6)).padStart(6, '0')}`
}

function short(text: string): string {
  return text.length > longestText ? text.slice(0, longestText).toWellFormed() : text
}
