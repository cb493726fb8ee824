import { LatchkeyError, systemRandom } from '@latchkey/shared'
import { TokenFormat } from '@latchkey/vault'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { randomBase62 } from '../../vault/src/base62.ts'

const tokens = new TokenFormat()
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

describe('a proxy key', () => {
  test('has the form that secret scanners are told, and reads back', () => {
    for (let count = 0; count < 500; count++) {
      const { id, token } = tokens.mint('proxy', systemRandom)
      expect(token.reveal()).toMatch(/^lk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
      const parsed = tokens.parse(token.reveal(), 'proxy')
      expect(parsed).toMatchObject({ kind: 'ok', id })
      if (parsed.kind === 'ok') expect(parsed.secret.reveal()).toHaveLength(43)
    }
  })

  test('ends in the CRC-32 of what is before it, in six base62 digits', () => {
    const token = 'lk_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg'
    const digits = base62(BigInt(crc32Bitwise(token)))
    expect(tokens.parse(`${token}${digits}`, 'proxy').kind).toBe('ok')
  })

  test('is refused with any one character changed to any other', () => {
    const token = tokens.mint('proxy', systemRandom).token.reveal()
    for (let at = 0; at < token.length; at++)
      for (const other of `${alphabet}_-. é\u0000`) {
        if (other === token[at]) continue
        const changed = `${token.slice(0, at)}${other}${token.slice(at + 1)}`
        expect(tokens.parse(changed, 'proxy').kind).not.toBe('ok')
      }
  })

  test('has one spelling: cut, padded, trimmed, folded or doubled it is another', () => {
    const token = tokens.mint('proxy', systemRandom).token.reveal()
    for (let length = 0; length < token.length; length++)
      expect(tokens.parse(token.slice(0, length), 'proxy')).toEqual({ kind: 'malformed' })
    for (const other of [
      `${token} `,
      ` ${token}`,
      `${token}\n`,
      `${token}0`,
      token + token,
      `Bearer ${token}`,
    ])
      expect(tokens.parse(other, 'proxy')).toEqual({ kind: 'malformed' })
    for (const other of [token.toUpperCase(), token.toLowerCase(), token.replace('lk_', 'Lk_')])
      expect(tokens.parse(other, 'proxy').kind).not.toBe('ok')
  })

  test('is told apart from tokens of other planes and of other deployments', () => {
    for (const type of ['admin', 'claim'] as const) {
      const other = tokens.mint(type, systemRandom).token.reveal()
      expect(tokens.parse(other, 'proxy')).toEqual({ kind: 'wrong-type' })
      expect(tokens.parse(other, type).kind).toBe('ok')
    }
    const elsewhere = new TokenFormat('acme')
    const token = elsewhere.mint('proxy', systemRandom).token.reveal()
    expect(token).toMatch(/^acme_/)
    expect(elsewhere.parse(token, 'proxy').kind).toBe('ok')
    expect(tokens.parse(token, 'proxy')).toEqual({ kind: 'malformed' })
  })

  test('with a wrong checksum is told apart from nonsense', () => {
    const token = tokens.mint('proxy', systemRandom).token.reveal()
    const last = token.at(-1) === '0' ? '1' : '0'
    expect(tokens.parse(`${token.slice(0, -1)}${last}`, 'proxy')).toEqual({ kind: 'bad-checksum' })
    expect(tokens.parse('sk-proj-something', 'proxy')).toEqual({ kind: 'malformed' })
  })
})

describe('the parser', () => {
  test('never throws and accepts nothing that was not minted', () => {
    const nearly = fc
      .tuple(fc.constantFrom('lk_', 'lka_', 'lkc_', 'LK_', ''), base62Text(12), base62Text(49))
      .map(([prefix, id, rest]) => `${prefix}${id}_${rest}`)
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), nearly), (text) => {
        expect(tokens.parse(text, 'proxy').kind).not.toBe('ok')
      }),
      { numRuns: 3000 },
    )
  })

  test('takes no longer for a megabyte than for nothing', () => {
    const huge = `lk_${'a'.repeat(4_000_000)}`
    const began = performance.now()
    for (let count = 0; count < 10_000; count++) tokens.parse(huge, 'proxy')
    expect(performance.now() - began).toBeLessThan(500)
  })

  test('refuses a prefix that would make tokens ambiguous', () => {
    for (const prefix of ['', 'l', 'LK', 'l_k', 'lk1', 'l-k', 'a'.repeat(17)])
      expect(() => new TokenFormat(prefix)).toThrow(LatchkeyError)
  })
})

describe('random base62', () => {
  test('throws away the bytes that would make some characters likelier', () => {
    const bytes = Uint8Array.of(248, 255, 0, 61, 62, 247)
    const text = randomBase62(4, () => bytes)
    expect(text).toBe('0z0z')
  })
})

function base62Text(length: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...alphabet), minLength: length, maxLength: length })
}

/** CRC-32 as its definition has it, bit by bit: another implementation than the one under test. */
function crc32Bitwise(text: string): number {
  let crc = 0xffff_ffff
  for (const byte of Buffer.from(text, 'latin1')) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0)
  }
  return (crc ^ 0xffff_ffff) >>> 0
}

function base62(value: bigint): string {
  let rest = value
  let text = ''
  for (let at = 0; at < 6; at++) {
    text = `${alphabet[Number(rest % 62n)]}${text}`
    rest /= 62n
  }
  return text
}
