/** What a span says: texts, numbers (of which whole ones stay whole), amounts too large for those, and yes or no. */
export type AttributeValue = string | number | bigint | boolean

/** One part of a trace. Times are wall-clock milliseconds with fractions. */
export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string | null
  readonly state: string | null
  readonly name: string
  readonly kind: 'server' | 'client'
  readonly start: number
  readonly end: number
  readonly failed: boolean
  /** Null: nothing is known, and it is left out. */
  readonly attributes: Readonly<Record<string, AttributeValue | null>>
}

/** Takes finished spans. It neither waits nor throws. */
export interface SpanSink {
  add(span: Span): void
}
