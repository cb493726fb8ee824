import { isUtf8 } from 'node:buffer'

/** A header as it was sent. */
export interface SentHeader {
  readonly name: string
  readonly value: string
}

/** What a client says about a request: whose, in which session, with which properties, and what it wants of us. */
export interface Annotations {
  readonly userId: string | null
  readonly sessionId: string | null
  readonly properties: Readonly<Record<string, string>>
  /** A rate limit of the request's own, unread; `differing`: it is said twice, and not the same. */
  readonly limitPolicy: SentHeader | 'differing' | null
  /** Its bodies are not to be kept, whatever the key's policy says. */
  readonly omitRequest: boolean
  readonly omitResponse: boolean
}

const longestValue = 256
const mostProperties = 32
const none: Annotations = Object.freeze({
  userId: null,
  sessionId: null,
  properties: Object.freeze({}),
  limitPolicy: null,
  omitRequest: false,
  omitResponse: false,
})

/**
 * Reads `latchkey-user-id`, `latchkey-session-id`, `latchkey-property-<name>`, `latchkey-ratelimit-policy`,
 * `latchkey-omit-request` and `latchkey-omit-response`, or the names of the same under `helicone-`. Values are cut at
 * 256 characters, properties at 32. Omitting is meant by every value but `false` and `0`.
 */
export function readAnnotations(rawHeaders: readonly string[]): Annotations {
  let userId: string | null = null
  let sessionId: string | null = null
  let properties: Map<string, string> | null = null
  let limitPolicy: Annotations['limitPolicy'] = null
  let omitRequest = false
  let omitResponse = false
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    const key = ownName(name)
    if (key === null) continue
    if (key === 'ratelimit-policy') {
      limitPolicy = said(limitPolicy, { name, value: (rawHeaders[index + 1] ?? '').trim() })
      continue
    }
    const value = storable(decoded(rawHeaders[index + 1] ?? ''))
    if (key === 'user-id') userId = value
    else if (key === 'session-id') sessionId = value
    else if (key === 'omit-request') omitRequest ||= isMeant(value)
    else if (key === 'omit-response') omitResponse ||= isMeant(value)
    else if (key.startsWith('property-') && key.length > 'property-'.length) {
      properties ??= new Map()
      if (properties.size < mostProperties)
        properties.set(copied(key.slice('property-'.length, longestValue)), value)
    }
  }
  const omits = omitRequest || omitResponse
  if (userId === null && sessionId === null && properties === null && limitPolicy === null && !omits)
    return none
  return {
    userId,
    sessionId,
    properties: properties === null ? none.properties : Object.fromEntries(properties),
    limitPolicy,
    omitRequest,
    omitResponse,
  }
}

function said(before: Annotations['limitPolicy'], header: SentHeader): Annotations['limitPolicy'] {
  return before === null || (before !== 'differing' && before.value === header.value) ? header : 'differing'
}

function isMeant(value: string): boolean {
  const text = value.trim().toLowerCase()
  return text !== 'false' && text !== '0'
}

/** The part of a header's name behind `latchkey-` or `helicone-`, or null. */
function ownName(lowerCaseName: string): string | null {
  if (lowerCaseName.startsWith('latchkey-')) return lowerCaseName.slice('latchkey-'.length)
  if (lowerCaseName.startsWith('helicone-')) return lowerCaseName.slice('helicone-'.length)
  return null
}

/** Node reads a header's bytes as Latin-1. Whoever has more to say sends UTF-8, which nothing else looks like. */
function decoded(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value
  const bytes = Buffer.from(value, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : value
}

/** `text` as a database can keep it: no NUL, no lone surrogates, 256 characters at most. */
export function storable(text: string): string {
  const short = text.length > longestValue ? copied(text.slice(0, longestValue)) : text
  return short.replaceAll('\0', '').toWellFormed()
}

/** A part of a text that a record may keep: by itself, V8 would keep the whole text for it. */
export function copied(part: string): string {
  return Buffer.from(part).toString()
}
