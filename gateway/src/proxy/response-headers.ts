import { endsHere, namedByConnection } from './header-names.ts'

/**
 * What an upstream says to us and not to our client: its cookies and account ids, and statements
 * about its own origin (`alt-svc`, HSTS, CORS) that would be false, or open a door, about ours.
 */
const withheld = new Set([
  'set-cookie',
  'set-cookie2',
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
  'alt-svc',
  'strict-transport-security',
  'public-key-pins',
  'clear-site-data',
  'report-to',
  'nel',
  'via',
])

/** An upstream's response headers, ready to be sent on, and what the relay must know of them. */
export interface ResponseHeaders {
  /** Name, value, name, value…, in the order in which they came. Names in lower case. */
  readonly flat: string[]
  /** Bytes; null where the length is not announced. */
  readonly contentLength: number | null
  /** Media type without parameters, lower case; '' where there is none. */
  readonly mediaType: string
  readonly encoded: boolean
  /** Whether it came in a transfer coding beyond chunks, which are undone already. */
  readonly transferCoded: boolean
}

/** Headers as undici gives them: names in lower case, with all the values of one that came more than once. */
export type ReceivedHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** Filters what was received. */
export function responseHeaders(received: ReceivedHeaders): ResponseHeaders {
  const flat: string[] = []
  let contentLength: number | null = null
  let mediaType = ''
  let encoded = false
  let transferCoded = false
  let named: ReadonlySet<string> | null = null
  for (const value of valuesOf(received.connection)) named = namedByConnection(value, named)
  for (const name of Object.keys(received)) {
    if (withheld.has(name) || name.startsWith('access-control-') || name.startsWith('latchkey-')) continue
    for (const value of valuesOf(received[name])) {
      if (name === 'transfer-encoding' && value.toLowerCase() !== 'chunked') transferCoded = true
      if (endsHere(name, named)) continue
      if (name === 'content-length') contentLength = Number(value)
      else if (name === 'content-type') mediaType = (value.split(';', 1)[0] ?? '').trim().toLowerCase()
      else if (name === 'content-encoding') encoded = value.toLowerCase() !== 'identity'
      flat.push(name, value)
    }
  }
  return { flat, contentLength, mediaType, encoded, transferCoded }
}

function valuesOf(values: ReceivedHeaders[string]): readonly string[] {
  return typeof values === 'string' ? [values] : (values ?? [])
}

/** The first value of a header in a flat list, or null. */
export function headerValue(flat: readonly string[], lowerCaseName: string): string | null {
  for (let index = 0; index + 1 < flat.length; index += 2) {
    if (flat[index] === lowerCaseName) return flat[index + 1] ?? null
  }
  return null
}

/** A flat list without the headers of these names. */
export function withoutHeaders(flat: readonly string[], lowerCaseNames: readonly string[]): string[] {
  const kept: string[] = []
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const name = flat[index] ?? ''
    if (!lowerCaseNames.includes(name)) kept.push(name, flat[index + 1] ?? '')
  }
  return kept
}
