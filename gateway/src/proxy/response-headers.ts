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
  /** Name, value, name, value…, as received and in that order. */
  readonly flat: string[]
  /** Bytes; null where the length is not announced. */
  readonly contentLength: number | null
  /** Media type without parameters, lower case; '' where there is none. */
  readonly mediaType: string
  readonly encoded: boolean
  /** Whether it came in a transfer coding beyond chunks, which are undone already. */
  readonly transferCoded: boolean
}

/** Filters what undici received. `raw`: name, value, name, value…, Buffers or strings. */
export function responseHeaders(raw: readonly (Buffer | string)[]): ResponseHeaders {
  const flat: string[] = []
  let contentLength: number | null = null
  let mediaType = ''
  let encoded = false
  let transferCoded = false
  let named: ReadonlySet<string> | null = null
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = latin1(raw[index])
    if (name.length === 10 && name.toLowerCase() === 'connection')
      named = namedByConnection(latin1(raw[index + 1]), named)
  }
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = latin1(raw[index])
    const value = latin1(raw[index + 1])
    const lowerCase = name.toLowerCase()
    if (
      withheld.has(lowerCase) ||
      lowerCase.startsWith('access-control-') ||
      lowerCase.startsWith('latchkey-')
    )
      continue
    if (lowerCase === 'transfer-encoding' && value.toLowerCase() !== 'chunked') transferCoded = true
    if (endsHere(lowerCase, named)) continue
    if (lowerCase === 'content-length') contentLength = Number(value)
    else if (lowerCase === 'content-type') mediaType = (value.split(';', 1)[0] ?? '').trim().toLowerCase()
    else if (lowerCase === 'content-encoding') encoded = value.toLowerCase() !== 'identity'
    flat.push(name, value)
  }
  return { flat, contentLength, mediaType, encoded, transferCoded }
}

function latin1(value: Buffer | string | undefined): string {
  return value === undefined ? '' : typeof value === 'string' ? value : value.toString('latin1')
}

/** The first value of a header in a flat list, or null. */
export function headerValue(flat: readonly string[], lowerCaseName: string): string | null {
  for (let index = 0; index + 1 < flat.length; index += 2) {
    if (flat[index]?.toLowerCase() === lowerCaseName) return flat[index + 1] ?? null
  }
  return null
}

/** A flat list without the headers of these names. */
export function withoutHeaders(flat: readonly string[], lowerCaseNames: readonly string[]): string[] {
  const kept: string[] = []
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const name = flat[index] ?? ''
    if (!lowerCaseNames.includes(name.toLowerCase())) kept.push(name, flat[index + 1] ?? '')
  }
  return kept
}
