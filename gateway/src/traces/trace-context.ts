/** What a caller says of the trace that its request belongs to. */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string
  /** The caller's span: 16 lower-case hexadecimal digits. */
  readonly parentId: string
  readonly sampled: boolean
  /** What other vendors carry along, as it came. */
  readonly state: string | null
}

const shape = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const noTrace = '0'.repeat(32)
const noSpan = '0'.repeat(16)
/** Of longer ones nobody has to take any (https://www.w3.org/TR/trace-context/#tracestate-limits). */
const longestState = 8192

/**
 * The trace that `traceparent` and `tracestate` name, or null: there is none, or it is said in a way that can't be
 * relied on, which is the same. Source: https://www.w3.org/TR/trace-context/. `rawHeaders` as node:http gives them.
 */
export function readTraceContext(rawHeaders: readonly string[]): TraceContext | null {
  let parent: string | null = null
  let state: string | null = null
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const value = rawHeaders[index + 1] ?? ''
    if (isNamed(name, 'traceparent')) {
      // Two of them are no one's trace.
      if (parent !== null) return null
      parent = value
    } else if (isNamed(name, 'tracestate')) {
      state = state === null ? value : `${state},${value}`
    }
  }
  return parent === null ? null : parse(parent, state)
}

function parse(parent: string, state: string | null): TraceContext | null {
  const [, version, traceId, parentId, flags, more] = shape.exec(parent) ?? []
  if (version === undefined || traceId === undefined || parentId === undefined || flags === undefined)
    return null
  // Later versions may say more behind what this one says.
  if (version === 'ff' || (version === '00' && more !== undefined)) return null
  if (traceId === noTrace || parentId === noSpan) return null
  return {
    traceId,
    parentId,
    sampled: (Number.parseInt(flags, 16) & 1) === 1,
    state: state === null || state.length > longestState ? null : state,
  }
}

/** The headers that hand a sampled trace on from the span `spanId`: name, value, name, value…. */
export function traceHeaders(traceId: string, spanId: string, state: string | null): readonly string[] {
  const parent = ['traceparent', `00-${traceId}-${spanId}-01`]
  return state === null ? parent : [...parent, 'tracestate', state]
}

function isNamed(name: string, lowerCaseName: string): boolean {
  return name.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName
}
