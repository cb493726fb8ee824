import { posix } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTarget } from '../../gateway/src/proxy/target.ts'

const runs = { numRuns: 5000 }

const piece = fc.constantFrom(
  ...[
    'v1',
    'openai',
    'chat',
    'completions',
    'models',
    'a',
    'A',
    '.',
    '..',
    '...',
    '',
    ';x=1',
    '~',
    ':',
    '@',
    '*',
  ],
  ...[
    '%2e',
    '%2E%2e',
    '%2f',
    '%2F',
    '%5c',
    '\\',
    '%00',
    '%0a',
    '%25',
    '%252e',
    '%25252f',
    '%63hat',
    '%c0%ae',
    '%ff',
  ],
  ...['%', '%g0', '%ef%bc%8f', '%e2%80%ae', '%3f', '%23', '?', '#', ' ', '\t', '\u0000', 'ü'],
)
const path = fc
  .tuple(
    fc.constantFrom('/v1/', '/v1', '/openai/v1/', '/', '', '//v1/', 'http://host/v1/', '/v1/../', '/%76%31/'),
    fc.array(fc.tuple(piece, fc.constantFrom('/', '/', '', '//')), { maxLength: 5 }),
  )
  .map(([start, pieces]) => start + pieces.map(([text, slash]) => text + slash).join(''))

function accepted(text: string) {
  const parsed = parseTarget(text)
  return parsed.kind === 'target' ? parsed : null
}

test('a path that is let through is the same path to every way of reading it', () => {
  fc.assert(
    fc.property(path, (text) => {
      const target = accepted(text)
      if (target === null) return
      const raw = text.split('?', 1)[0] ?? ''
      const once = decodeURIComponent(raw)
      expect(new URL(text, 'http://host').pathname).toBe(raw)
      expect(posix.normalize(raw)).toBe(raw)
      expect(posix.normalize(once)).toBe(once)
      expect(posix.normalize(once.replaceAll('\\', '/'))).toBe(once)
      expect(decodeURIComponent(once)).toBe(once)
      expect(new URL(once.replaceAll(/[?#]/g, ''), 'http://host').host).toBe('host')
    }),
    runs,
  )
})

test('nothing but /v1 and what is below it is ever let through, with no letter of it encoded', () => {
  fc.assert(
    fc.property(path, (text) => {
      const target = accepted(text)
      if (target === null) return
      expect(target.endpoint).toMatch(/^\/v1(?:\/|$)/)
      expect(target.endpoint).not.toMatch(/%(?:[46][1-9a-f]|[57][0-9a]|3[0-9])/i)
      expect(text.startsWith(target.provider === null ? '/v1' : `/${target.provider}/v1`)).toBe(true)
    }),
    runs,
  )
})

test('endpoint and query string go on to the byte', () => {
  const plain = fc.array(fc.stringMatching(/^[A-Za-z0-9_~:@!$&'()*+,;=-]{1,8}$/), { maxLength: 4 })
  const query = fc.option(fc.stringMatching(/^[!-"$-~]{0,20}$/), { nil: undefined })
  fc.assert(
    fc.property(plain, query, fc.constantFrom('', '/openai'), (pieces, asked, provider) => {
      const below = pieces.map((text) => `/${text}`).join('')
      const question = asked === undefined ? '' : `?${asked}`
      expect(parseTarget(`${provider}/v1${below}${question}`)).toEqual({
        kind: 'target',
        provider: provider === '' ? null : 'openai',
        endpoint: `/v1${below}`,
        upstreamPath: below + question,
      })
    }),
    runs,
  )
})

test('any bytes at all are a target or a refusal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      expect(['target', 'refused']).toContain(parseTarget(text).kind)
      expect(['target', 'refused']).toContain(parseTarget(`/v1/${text}`).kind)
    }),
    runs,
  )
})
