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
  const named = namedByConnections(received.connection)
  for (const name of Object.keys(received)) {
    if (withheld.has(name) || name.startsWith('access-control-') || name.startsWith('latchkey-')) continue
    const values = received[name]
    if (values === undefined) continue
    if (name === 'transfer-encoding') transferCoded = isBeyondChunks(values)
    if (endsHere(name, named)) continue
    if (typeof values === 'string') flat.push(name, values)
    else for (const value of values) flat.push(name, value)
    const last = lastOf(values)
    if (name === 'content-length') contentLength = Number(last)
    else if (name === 'content-type') mediaType = (last.split(';', 1)[0] ?? '').trim().toLowerCase()
    else if (name === 'content-encoding') encoded = last.toLowerCase() !== 'identity'
  }
  return { flat, contentLength, mediaType, encoded, transferCoded }
}

function namedByConnections(values: ReceivedHeaders[string]): ReadonlySet<string> | null {
  if (values === undefined) return null
  if (typeof values === 'string') return namedByConnection(values, null)
  return values.reduce<ReadonlySet<string> | null>((named, value) => namedByConnection(value, named), null)
}

function isBeyondChunks(codings: string | readonly string[]): boolean {
  return [codings].flat().some((coding) => coding.toLowerCase() !== 'chunked')
}

function lastOf(values: string | readonly string[]): string {
  return typeof values === 'string' ? values : (values.at(-1) ?? '')
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
