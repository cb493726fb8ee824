import { type ErrorCode, type ProxyKeyId, systemRandom } from '@latchkey/shared'
import type { TokenFormat } from '@latchkey/vault'

/** Tokens of a gateway that were minted for a table of cases. */
export interface Tokens {
  readonly format: TokenFormat
  /** Two keys that work, of which no case may show that they do. */
  readonly good: string
  readonly other: string
  readonly goodId: string
  readonly revoked: string
  readonly expired: string
  readonly paused: string
  /** The secret that a key had before a rotation without grace. */
  readonly replaced: string
  readonly admin: string
  readonly provider: string
}

/** A request that must be refused before anything is spent on it. */
export interface CredentialCase {
  readonly name: string
  /** Header lines as they go over the wire, one character a byte. */
  readonly lines: readonly string[]
  readonly code: ErrorCode
  readonly target?: string
}

const carriers = [
  'Authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'Latchkey-Auth',
  'Helicone-Auth',
] as const
type Carrier = (typeof carriers)[number]

/** `token` as that header carries it. */
export function carried(carrier: Carrier, token: string): string {
  return carrier.endsWith('key') ? `${carrier}: ${token}` : `${carrier}: Bearer ${token}`
}

/** Every pair of headers that may carry a key, each with itself too. */
export const carrierPairs = carriers.flatMap((one) => carriers.map((two) => [one, two] as const))

/** Every way of not having a key that we could think of. */
export function credentialCases(tokens: Tokens): readonly CredentialCase[] {
  return [
    ...missing(tokens),
    ...differing(tokens),
    ...wrongScheme(tokens),
    ...cutOrChanged(tokens),
    ...nonCanonical(tokens),
    ...notOurs(tokens),
    ...oversized(tokens),
    ...unprintable(tokens),
    ...ended(tokens),
  ]
}

function missing({ good }: Tokens): readonly CredentialCase[] {
  const lines: Readonly<Record<string, readonly string[]>> = {
    'no header': [],
    'an empty Authorization': ['Authorization:'],
    'an Authorization of spaces': ['Authorization:    '],
    'Bearer without a key': ['Authorization: Bearer'],
    'Bearer and a space without a key': ['Authorization: Bearer '],
    'an empty x-api-key': ['x-api-key:'],
    'every carrier, all empty': carriers.map((carrier) => `${carrier}:`),
    'a key in a cookie': [`Cookie: authorization=${good}`],
    'a key in Proxy-Authorization': [`Proxy-Authorization: Bearer ${good}`],
    'a key in X-Authorization': [`X-Authorization: Bearer ${good}`],
    'a key in a header whose name has a space for a hyphen': [`x_api_key: ${good}`],
  }
  const targets = ['api_key', 'key', 'access_token', 'authorization'].map(
    (name) => `/v1/models?${name}=${good}`,
  )
  return [
    ...Object.entries(lines).map(([name, sent]) => ({ name, lines: sent, code: 'missing_api_key' as const })),
    ...targets.map((target) => ({
      name: `a key in the query string as ${/\?(\w+)/.exec(target)?.[1]}`,
      lines: [],
      code: 'missing_api_key' as const,
      target,
    })),
  ]
}

function differing({ good, other }: Tokens): readonly CredentialCase[] {
  const both = carrierPairs.map(([one, two]) => ({
    name: `two different keys in ${one} and ${two}`,
    lines: [carried(one, good), carried(two, other)],
  }))
  const more = [
    {
      name: 'a key and one that differs in one letter',
      lines: [carried('Authorization', good), carried('x-api-key', `${good.slice(0, -1)}?`)],
    },
    {
      name: 'a key and Basic credentials',
      lines: [carried('x-api-key', good), 'Authorization: Basic dXNlcjpwYXNz'],
    },
    {
      name: 'a key and a provider’s key',
      lines: [carried('Latchkey-Auth', good), 'Authorization: Bearer sk-proj-0123456789abcdef'],
    },
    {
      name: 'the same key thrice and another',
      lines: [...carriers.slice(0, 3).map((own) => carried(own, good)), carried('Helicone-Auth', other)],
    },
    { name: 'two keys in one header', lines: [`Authorization: Bearer ${good}, Bearer ${other}`] },
    { name: 'the same key twice in one header', lines: [`x-api-key: ${good}, ${good}`] },
  ]
  return [...both, ...more].map((each) => ({ ...each, code: 'invalid_api_key' }))
}

function wrongScheme({ good }: Tokens): readonly CredentialCase[] {
  const basic = Buffer.from(`${good}:`).toString('base64')
  const values = [
    good,
    `Basic ${basic}`,
    `Basic ${good}`,
    `Token ${good}`,
    `Digest ${good}`,
    `ApiKey ${good}`,
    `Bearer:${good}`,
    `Bearer=${good}`,
    `Bearer${good}`,
    `Bearer  ${good}`,
    `Bearer ${good} ${good}`,
    `Bearer Bearer ${good}`,
    `Bearer\t${good}`,
    `"Bearer ${good}"`,
    `Bear ${good}`,
  ]
  return [
    ...values.map((value) => ({
      name: `Authorization of ${masked(value, good)}`,
      lines: [`Authorization: ${value}`],
    })),
    { name: 'x-api-key of Bearer and a key', lines: [`x-api-key: Bearer ${good}`] },
    { name: 'Latchkey-Auth of a bare key', lines: [`Latchkey-Auth: ${good}`] },
  ].map((each) => ({ ...each, code: 'invalid_api_key' }))
}

function cutOrChanged({ good }: Tokens): readonly CredentialCase[] {
  const lengths = [1, 2, 3, 4, 8, 14, 15, 16, 17, 30, 58, 59, 60, 62, good.length - 1]
  const positions = [0, 1, 2, 3, 9, 14, 15, 16, 40, 58, 59, 60, good.length - 1]
  const swap = (letter: string | undefined) => (letter === 'a' ? 'b' : 'a')
  const swapped = (at: number, to = at + 1) =>
    good.slice(0, at) + (good[to] ?? '') + good.slice(at + 1, to) + (good[at] ?? '') + good.slice(to + 1)
  const transposed = [4, 20, 40].map((at) => good.slice(at).search(/(.)(?!\1)/) + at)
  return [
    ...lengths.map((length) => ({
      name: `the first ${length} characters of a key`,
      token: good.slice(0, length),
    })),
    { name: 'a key without its first character', token: good.slice(1) },
    { name: 'a key without its id', token: `lk_${good.slice(16)}` },
    { name: 'a key with one more character', token: `${good}0` },
    { name: 'a key twice in a row', token: good + good },
    ...positions.map((at) => ({
      name: `a key with character ${at} changed`,
      token: good.slice(0, at) + swap(good[at]) + good.slice(at + 1),
    })),
    ...transposed.map((at) => ({
      name: `a key with characters ${at} and ${at + 1} swapped`,
      token: swapped(at),
    })),
    { name: 'a key with its checksum zeroed', token: `${good.slice(0, -6)}000000` },
  ].map(({ name, token }) => ({ name, lines: [carried('Authorization', token)], code: 'invalid_api_key' }))
}

function nonCanonical({ good }: Tokens): readonly CredentialCase[] {
  const wide = (text: string) => Buffer.from(text).toString('latin1')
  const spellings: Readonly<Record<string, string>> = {
    'in upper case': good.toUpperCase(),
    'in lower case': good.toLowerCase(),
    'with LK_ for its prefix': `LK_${good.slice(3)}`,
    'with a hyphen for its first underscore': good.replace('_', '-'),
    'percent-encoded': good.replace('_', '%5F'),
    'in base64': Buffer.from(good).toString('base64'),
    'in hex': Buffer.from(good).toString('hex'),
    'in double quotes': `"${good}"`,
    'in angle brackets': `<${good}>`,
    'with a comma behind it': `${good},`,
    'with a semicolon behind it': `${good};`,
    'with padding behind it': `${good}=`,
    'with a slash in it': `${good.slice(0, 30)}/${good.slice(31)}`,
    'with a space in it': `${good.slice(0, 30)} ${good.slice(30)}`,
    'with a zero before its checksum': `${good.slice(0, -6)}0${good.slice(-6)}`,
    'with an escaped underscore': good.replace('_', '\\u005f'),
    'with an ü in it': `${good.slice(0, 30)}${wide('ü')}${good.slice(32)}`,
    'with an emoji behind it': good + wide('🔑'),
    'with a small roman fifty for its l': wide('ⅼ') + good.slice(1),
    'in full-width letters': wide(
      [...good].map((letter) => String.fromCodePoint((letter.codePointAt(0) ?? 0) + 0xfee0)).join(''),
    ),
    'with a zero-width space behind it': good + wide('\u200b'),
    'with a byte order mark before it': wide('\ufeff') + good,
    'with a right-to-left mark before it': wide('\u200f') + good,
    'with a no-break space behind it, as Latin-1': `${good}\u00a0`,
    'with a no-break space before it, as UTF-8': wide('\u00a0') + good,
    'with a byte that no UTF-8 has': `${good}\u00ff`,
  }
  return Object.entries(spellings).map(([name, token]) => ({
    name: `a key ${name}`,
    lines: [carried('x-api-key', token)],
    code: 'invalid_api_key',
  }))
}

function notOurs({ format, good, goodId, other, admin, provider }: Tokens): readonly CredentialCase[] {
  const minted = (type: 'proxy' | 'admin' | 'claim', id?: string) =>
    format.mint(type, systemRandom, id === undefined ? undefined : proxyKeyId(id)).token.reveal()
  const tokens: Readonly<Record<string, string>> = {
    'a key of an id that nobody has': minted('proxy'),
    'another secret for an id that is there': minted('proxy', goodId),
    'the id of one key and the secret of another': good.slice(0, 16) + other.slice(16),
    'this gateway’s admin token': admin,
    'a well-formed admin token': minted('admin'),
    'a well-formed admin token with the id of a key': minted('admin', goodId),
    'a well-formed claim code': minted('claim'),
    'a claim code with the id of a key': minted('claim', goodId),
    'a webhook secret': `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
    'the provider’s own key': provider,
    'an OpenAI key': `sk-proj-${'A1b2'.repeat(12)}`,
    'an Anthropic key': `sk-ant-api03-${'A1b2'.repeat(20)}`,
    'a UUID': '0192f0c1-2d3e-7f00-8a9b-0c1d2e3f4a5b',
    'a JSON web token': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.',
    'the name of a key': 'alice',
    null: 'null',
    undefined: 'undefined',
    'a template that was not filled in': `$${'{LATCHKEY_KEY}'}`,
    'a masked key': `${good.slice(0, 7)}…${good.slice(-4)}`.replace('…', '...'),
    'the property of an object': '__proto__',
    SQL: "' OR '1'='1",
  }
  const sent = Object.entries(tokens)
  return [
    ...sent.map(([name, token]) => ({ name, lines: [carried('Authorization', token)] })),
    ...sent
      .slice(0, 4)
      .map(([name, token]) => ({ name: `${name}, in api-key`, lines: [carried('api-key', token)] })),
  ].map((each) => ({ ...each, code: 'invalid_api_key' }))
}

function oversized({ good }: Tokens): readonly CredentialCase[] {
  const filler = (count: number) => Array.from({ length: count }, (_, index) => `x-${index}: y`)
  return [
    {
      name: 'a key of 1 KiB',
      lines: [carried('Authorization', good + 'a'.repeat(1024))],
      code: 'invalid_api_key',
    },
    { name: 'a key of 8 KiB', lines: [carried('x-api-key', 'a'.repeat(8192))], code: 'invalid_api_key' },
    {
      name: 'a key of 20 KiB',
      lines: [carried('Authorization', good + 'a'.repeat(20_480))],
      code: 'headers_too_large',
    },
    {
      name: 'a key of 1 MiB',
      lines: [carried('Authorization', 'a'.repeat(2 ** 20))],
      code: 'headers_too_large',
    },
    { name: 'a header name of 20 KiB', lines: [`${'a'.repeat(20_480)}: x`], code: 'headers_too_large' },
    {
      name: 'five hundred headers and a bad key',
      lines: [...filler(500), carried('Authorization', good.slice(1))],
      code: 'invalid_api_key',
    },
    { name: 'ten thousand headers', lines: filler(10_000), code: 'headers_too_large' },
    {
      name: 'the same bad key a hundred times',
      lines: Array.from({ length: 100 }, () => carried('Authorization', good.slice(1))),
      code: 'invalid_api_key',
    },
  ]
}

/** What no header may hold is refused by the HTTP parser, before there is a request. */
function unprintable({ good }: Tokens): readonly CredentialCase[] {
  const characters = {
    NUL: '\0',
    SOH: '\u0001',
    BEL: '\u0007',
    ESC: '\u001b',
    DEL: '\u007f',
    'a bare CR': '\r',
    'a bare LF': '\n',
  }
  return [
    ...Object.entries(characters).map(([name, character]) => ({
      name: `a key with ${name} in it`,
      lines: [`Authorization: Bearer ${good.slice(0, 20)}${character}${good.slice(20)}`],
      code: 'invalid_request' as const,
    })),
    {
      name: 'a key on a line of its own',
      lines: ['Authorization: Bearer', ` ${good}`],
      code: 'invalid_request',
    },
    { name: 'a space before the colon', lines: [`Authorization : Bearer ${good}`], code: 'invalid_request' },
    {
      name: 'a tab behind a key that is cut',
      lines: [`Authorization: Bearer ${good.slice(0, -1)}\t`],
      code: 'invalid_api_key',
    },
  ]
}

function ended({ revoked, expired, paused, replaced }: Tokens): readonly CredentialCase[] {
  const states = {
    revoked_api_key: revoked,
    expired_api_key: expired,
    paused_api_key: paused,
    invalid_api_key: replaced,
  } as const
  return (['revoked_api_key', 'expired_api_key', 'paused_api_key', 'invalid_api_key'] as const).flatMap(
    (code) =>
      (['Authorization', 'x-api-key', 'Helicone-Auth'] as const).map((carrier) => ({
        name: `a key that is ${code === 'invalid_api_key' ? 'replaced' : code.replace('_api_key', '')}, in ${carrier}`,
        lines: [carried(carrier, states[code])],
        code,
      })),
  )
}

function masked(value: string, token: string): string {
  return JSON.stringify(value.replaceAll(token, 'KEY')).slice(0, 40)
}

function proxyKeyId(id: string): ProxyKeyId {
  return id as ProxyKeyId
}
