import type { Provider } from '../providers/provider.ts'
import { carriesCredential } from './credential.ts'
import { endsHere, namedByConnection } from './header-names.ts'

/** What every provider may see of a client's headers. All else stays here: an allowlist can't leak what it forgot. */
const allowed = new Set([
  'accept',
  'accept-language',
  'content-type',
  'content-encoding',
  'content-language',
  'user-agent',
  'idempotency-key',
  'range',
  'if-range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'prefer',
  'traceparent',
  'tracestate',
  'x-request-id',
  'x-client-request-id',
])

/** A client's headers without those that only we add: made anew for each attempt, which adds them, its credential too. */
export interface ForwardedHeaders {
  /** Name, value, name, value…, as received and in that order. */
  readonly flat: string[]
  /** What the client says of the hops before us; null: nothing. */
  readonly via: string | null
}

/**
 * Picks the headers that may travel upstream. `rawHeaders` as node:http gives them. `traced`: the attempt has a trace
 * context of its own, and the client's stays here.
 */
export function forwardedHeaders(
  rawHeaders: readonly string[],
  provider: Provider,
  traced = false,
): ForwardedHeaders {
  const flat: string[] = []
  let via: string | null = null
  let named: ReadonlySet<string> | null = null
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length === 10 && name.toLowerCase() === 'connection')
      named = namedByConnection(rawHeaders[index + 1] ?? '', named)
  }
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const value = rawHeaders[index + 1] ?? ''
    const lowerCase = name.toLowerCase()
    if (lowerCase === 'via') via = via === null ? value : `${via}, ${value}`
    if (!allowed.has(lowerCase) && !provider.allowsRequestHeader(lowerCase)) continue
    if (endsHere(lowerCase, named) || carriesCredential(lowerCase)) continue
    if (traced && (lowerCase === 'traceparent' || lowerCase === 'tracestate')) continue
    flat.push(name, value)
  }
  return { flat, via }
}
