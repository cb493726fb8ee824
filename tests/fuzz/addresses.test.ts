import { isIP } from 'node:net'
import { containsAddress, parseAddress, parseCidr } from '@latchkey/shared'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clientAddress } from '../../gateway/src/proxy/client-address.ts'

const runs = { numRuns: 3000 }

/** An address as its bits, IPv4-mapped IPv6 as IPv4. */
interface Bits {
  readonly width: 32 | 128
  readonly value: bigint
}

const v4Text = (value: bigint) => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
const v6Text = (value: bigint) =>
  Array.from({ length: 8 }, (_, group) => ((value >> BigInt(112 - 16 * group)) & 0xffffn).toString(16)).join(
    ':',
  )

/** Near ones too: all differ in few bits of few prefixes, or no block would ever hold one. */
const v4 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
  fc.nat(1023).map((low) => 0x0a00_0000n + BigInt(low)),
)
const v6 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
  fc.nat(1023).map((low) => (0x2001_0db8n << 96n) + BigInt(low)),
)
const spelledV6 = fc.tuple(v6, fc.boolean()).map(([value, upper]) => {
  const text = upper ? v6Text(value).toUpperCase() : v6Text(value)
  return { text, bits: mapped(value) }
})
const spelledV4 = fc.tuple(v4, fc.constantFrom('plain', 'mapped', 'hex')).map(([value, how]) => ({
  text:
    how === 'plain'
      ? v4Text(value)
      : how === 'mapped'
        ? `::ffff:${v4Text(value)}`
        : v6Text((0xffffn << 32n) + value),
  bits: { width: 32, value } as const satisfies Bits,
}))
const address: fc.Arbitrary<{ readonly text: string; readonly bits: Bits }> = fc.oneof(spelledV4, spelledV6)

function mapped(value: bigint): Bits {
  return value >> 32n === 0xffffn ? { width: 32, value: value & 0xffff_ffffn } : { width: 128, value }
}

/** The comparison as it is defined: the first bits of both are the same. */
function within(candidate: Bits, block: Bits, prefix: number): boolean {
  if (candidate.width !== block.width) return false
  const shift = BigInt(block.width - prefix)
  return candidate.value >> shift === block.value >> shift
}

describe('an address block', () => {
  test('holds exactly the addresses whose first bits are its own, in any spelling', () => {
    fc.assert(
      fc.property(address, address, fc.nat(128), (block, candidate, size) => {
        const prefix = size % (block.bits.width + 1)
        const written = block.bits.width === 32 && block.text.includes(':') ? prefix + 96 : prefix
        const cidr = parseCidr(`${block.text}/${written}`)
        const parsed = parseAddress(candidate.text)
        if (cidr === null || parsed === null) throw new Error(`${block.text}/${written} ${candidate.text}`)
        expect(containsAddress([cidr], parsed)).toBe(within(candidate.bits, block.bits, prefix))
      }),
      runs,
    )
  })

  test.each([
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0/8',
    '10/8',
    '0x0a.0.0.0/8',
    '012.0.0.0/8',
  ])('%s is none', (text) => {
    expect(parseCidr(text)).toBeNull()
  })

  test.each(['::/129', '::ffff:10.0.0.0/95', 'fe80::1%eth0/64', '1.2.3.4/8/8', ' 10.0.0.0/8', '*', ''])(
    '"%s" is none',
    (text) => {
      expect(parseCidr(text)).toBeNull()
    },
  )
})

test('no text is read as an address that Node itself would not connect to', () => {
  const texts = fc.oneof(
    fc.stringMatching(/^[0-9a-fx.:]{1,20}$/),
    fc
      .array(fc.constantFrom('0', '1', '010', '256', '0x1', '', '::', ':', 'ffff', '.'), { maxLength: 9 })
      .map((all) => all.join('.')),
  )
  fc.assert(
    fc.property(texts, (text) => {
      if (parseAddress(text) !== null) expect(isIP(text)).not.toBe(0)
    }),
    runs,
  )
})

describe('the address of a client', () => {
  const trusted = [parseCidr('10.0.0.0/8'), parseCidr('fd00::/8')].flatMap((cidr) => cidr ?? [])
  const isTrusted = (text: string) => {
    const parsed = parseAddress(text)
    return parsed !== null && containsAddress(trusted, parsed)
  }
  const inside = fc.oneof(
    fc.nat(0xff_ffff).map((low) => v4Text(0x0a00_0000n + BigInt(low))),
    fc.nat(999).map((low) => `fd00::${low}`),
  )
  const outside = address.map(({ text }) => text).filter((text) => !isTrusted(text))
  const junk = fc.constantFrom(
    '',
    ' ',
    'unknown',
    '_hidden',
    '127.0.0.1:80',
    '[::1]',
    '1.2.3.4 5.6.7.8',
    '010.1.1.1',
    'ü',
  )
  const claimed = fc.array(fc.oneof(inside, outside, junk), { maxLength: 6 })
  const canonical = (text: string) => parseAddress(text)?.toString()

  test('is the address of whoever connects, if that is no trusted proxy, whatever it claims', () => {
    fc.assert(
      fc.property(outside, claimed, (peer, hops) => {
        expect(clientAddress(peer, hops.join(', '), trusted)).toBe(canonical(peer))
      }),
      runs,
    )
  })

  test('is what the trusted proxies saw, whatever the client put before it', () => {
    const proxies = fc.array(inside, { maxLength: 3 })
    fc.assert(
      fc.property(inside, claimed, outside, proxies, (peer, forged, client, chain) => {
        const header = [...forged, client, ...chain].join(',')
        expect(clientAddress(peer, header, trusted)).toBe(canonical(client))
      }),
      runs,
    )
  })

  test('is never taken from behind something that is no address', () => {
    fc.assert(
      fc.property(inside, claimed, junk, fc.array(inside, { maxLength: 2 }), (peer, forged, gap, chain) => {
        const header = [...forged, gap, ...chain].join(',')
        expect(clientAddress(peer, header, trusted)).toBe(canonical(chain[0] ?? peer))
      }),
      runs,
    )
  })

  test('is never taken from a header where no proxy is trusted', () => {
    fc.assert(
      fc.property(address, claimed, ({ text }, hops) => {
        expect(clientAddress(text, hops.join(','), [])).toBe(canonical(text))
      }),
    )
  })
})
