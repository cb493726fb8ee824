import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readCredential } from '../../gateway/src/proxy/credential.ts'

const runs = { numRuns: 3000 }
const bearers = ['Authorization', 'Latchkey-Auth', 'Helicone-Auth']
const bare = ['x-api-key', 'api-key', 'x-goog-api-key']
const token = fc.oneof(fc.constantFrom('lk_a', 'lk_b'), fc.stringMatching(/^[!-~]{1,20}$/))
const scheme = fc.constantFrom('Bearer', 'bearer', 'BEARER', 'bEaReR')

interface Sent {
  readonly pair: readonly [string, string]
  /** Null where it is malformed, '' where it says nothing. */
  readonly token: string | null
}

const wellFormed: fc.Arbitrary<Sent> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...bearers), scheme, token)
    .map(([name, how, text]) => ({ pair: [name, `${how} ${text}`], token: text }) as const),
  fc
    .tuple(fc.constantFrom(...bare), token)
    .map(([name, text]) => ({ pair: [name, text], token: text }) as const),
)
const empty: fc.Arbitrary<Sent> = fc
  .constantFrom(
    ['authorization', ''],
    ['authorization', 'Bearer'],
    ['authorization', 'Bearer '],
    ['x-api-key', ''],
  )
  .map(([name = '', text = '']) => ({ pair: [name, text], token: '' }))
const malformed: fc.Arbitrary<Sent> = fc
  .tuple(
    fc.constantFrom(...bearers),
    fc.constantFrom('Basic eDp5', 'lk_a', 'Bearer  lk_a', 'Bearer lk_a lk_b', 'Bearer\tlk_a', 'Token lk_a'),
  )
  .map(([name, text]) => ({ pair: [name, text], token: null }))
const unrelated: fc.Arbitrary<Sent> = fc
  .constantFrom(
    ['cookie', 'lk_a'],
    ['proxy-authorization', 'Bearer lk_a'],
    ['x-api-keys', 'lk_a'],
    ['__proto__', 'lk_a'],
    ['constructor', 'lk_a'],
  )
  .map(([name = '', text = '']) => ({ pair: [name, text], token: '' }))

test('the credential is the one that every carrier agrees on, or there is none', () => {
  const headers = fc.array(fc.oneof({ weight: 4, arbitrary: wellFormed }, empty, malformed, unrelated), {
    maxLength: 5,
  })
  fc.assert(
    fc.property(headers, (sent) => {
      const result = readCredential(sent.flatMap(({ pair }) => pair))
      const tokens = new Set(sent.map((header) => header.token))
      tokens.delete('')
      const [only] = tokens
      if (tokens.size === 0) expect(result).toMatchObject({ kind: 'refused', code: 'missing_api_key' })
      else if (tokens.size === 1 && typeof only === 'string')
        expect(result).toEqual({ kind: 'credential', token: only })
      else expect(result).toMatchObject({ kind: 'refused', code: 'invalid_api_key' })
    }),
    runs,
  )
})

test('a refusal says nothing of what was sent', () => {
  const secret = fc.stringMatching(/^[A-Za-z0-9]{12,20}$/)
  fc.assert(
    fc.property(secret, secret, (one, other) => {
      const sent = [
        ['authorization', `Basic ${one}`],
        ['authorization', `Bearer ${one}`, 'x-api-key', other],
        ['latchkey-auth', one],
      ]
      for (const headers of sent) {
        const told = JSON.stringify(readCredential(headers))
        expect(told.includes(one) || told.includes(other)).toBe(false)
      }
    }),
    runs,
  )
})
