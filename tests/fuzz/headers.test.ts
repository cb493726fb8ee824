import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openai } from '../../gateway/src/providers/openai/openai.ts'
import { forwardedHeaders } from '../../gateway/src/proxy/request-headers.ts'
import { responseHeaders } from '../../gateway/src/proxy/response-headers.ts'

const runs = { numRuns: 2000 }

/** All that a provider may ever see of a client's headers: kept here a second time, so that widening it is noticed. */
const mayTravel =
  /^(?:accept|accept-language|content-(?:type|encoding|language)|user-agent|idempotency-key|range|if-(?:range|match|none-match|modified-since|unmodified-since)|prefer|traceparent|tracestate|x-request-id|x-client-request-id|openai-.*|x-stainless-.*)$/
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]
const secretOnes = [
  'authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'latchkey-auth',
  'helicone-auth',
  'cookie',
]
const ofOurs = [
  'latchkey-user-id',
  'helicone-property-a',
  'x-forwarded-for',
  'forwarded',
  'host',
  'content-length',
  'expect',
]
const harmless = [
  'accept',
  'content-type',
  'openai-beta',
  'x-stainless-lang',
  'idempotency-key',
  'x-request-id',
  'range',
]
const tricky = [
  'x-http-method-override',
  'x-original-url',
  'x-rewrite-url',
  'x-portkey-config',
  'helicone-target-url',
  'openai',
  'x-openai-key',
]

const anyCase = (name: string) =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => [...name].map((letter, index) => (upper[index] ? letter.toUpperCase() : letter)).join(''))
const name = fc
  .oneof(
    fc.constantFrom(...harmless, ...hopByHop, ...secretOnes, ...ofOurs, ...tricky),
    fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/),
  )
  .chain(anyCase)
const value = fc.oneof(
  fc.constantFrom('x', '', 'a, b', 'Bearer y'),
  fc
    .array(fc.constantFrom(...harmless, 'keep-alive', 'close', 'x-custom'), { maxLength: 3 })
    .map((all) => all.join(', ')),
)
const headers = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.tuple(name, value) },
      { weight: 1, arbitrary: fc.tuple(anyCase('connection'), value) },
    ),
    {
      maxLength: 12,
    },
  )
  .map((pairs) => pairs as readonly (readonly [string, string])[])

function connectionNamed(pairs: readonly (readonly [string, string])[]): ReadonlySet<string> {
  const lists = pairs.filter(([own]) => own.toLowerCase() === 'connection').map(([, listed]) => listed)
  return new Set(
    lists.flatMap((listed) =>
      listed
        .toLowerCase()
        .split(',')
        .map((own) => own.trim()),
    ),
  )
}

function pairsOf(flat: readonly string[]): readonly (readonly [string, string])[] {
  return flat.flatMap((own, index) => (index % 2 === 0 ? [[own, flat[index + 1] ?? ''] as const] : []))
}

test('of a request, exactly the listed headers travel, as they came and in their order', () => {
  fc.assert(
    fc.property(headers, (pairs) => {
      const named = connectionNamed(pairs)
      const expected = pairs.filter(([own]) => {
        const lower = own.toLowerCase()
        return mayTravel.test(lower) && (!named.has(lower) || lower.startsWith('content-'))
      })
      expect(pairsOf(forwardedHeaders(pairs.flat(), openai).flat)).toEqual(expected)
    }),
    runs,
  )
})

test('of a request, no credential and nothing about a connection travels, whatever Connection says', () => {
  const never = new Set([...secretOnes, ...hopByHop, ...ofOurs])
  fc.assert(
    fc.property(headers, (pairs) => {
      for (const [own] of pairsOf(forwardedHeaders(pairs.flat(), openai).flat))
        expect(never.has(own.toLowerCase())).toBe(false)
    }),
    runs,
  )
})

test('of an answer, what speaks about its connection, its origin or its account stays here', () => {
  const withheld = [
    'set-cookie',
    'set-cookie2',
    'openai-organization',
    'openai-project',
    'strict-transport-security',
    'access-control-allow-origin',
    'access-control-anything',
    'latchkey-request-id',
    'via',
    'alt-svc',
  ]
  const passing = [
    'content-type',
    'x-request-id',
    'openai-processing-ms',
    'x-ratelimit-limit-requests',
    'location',
    'etag',
  ]
  const own = fc.constantFrom(...withheld, ...passing, ...hopByHop).chain(anyCase)
  const answer = fc.array(fc.oneof(fc.tuple(own, value), fc.tuple(anyCase('connection'), value)), {
    maxLength: 10,
  })
  fc.assert(
    fc.property(answer, (pairs) => {
      const named = connectionNamed(pairs)
      const expected = pairs.filter(([header]) => {
        const lower = header.toLowerCase()
        return passing.includes(lower) && (!named.has(lower) || lower.startsWith('content-'))
      })
      expect(pairsOf(responseHeaders(received(pairs)).flat)).toEqual(grouped(expected))
    }),
    runs,
  )
})

/** As undici gives them: the values of one name together, at its first place. */
function received(pairs: readonly (readonly [string, string])[]): Record<string, string | string[]> {
  const values = Map.groupBy(pairs, ([name]) => name.toLowerCase())
  const entries = [...values].map(([name, all]) => [name, all.map(([, text]) => text)] as const)
  return Object.fromEntries(entries.map(([name, texts]) => [name, oneOrAll(texts)]))
}

function oneOrAll(texts: string[]): string | string[] {
  const [only] = texts
  return texts.length === 1 && only !== undefined ? only : texts
}

function grouped(pairs: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  const values = Map.groupBy(pairs, ([name]) => name.toLowerCase())
  return [...values].flatMap(([name, all]) => all.map(([, text]) => [name, text] as const))
}
