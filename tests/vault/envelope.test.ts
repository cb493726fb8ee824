import { systemRandom } from '@latchkey/shared'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { associatedData, none, type Place } from '../../vault/src/associated-data.ts'
import { parseEnvelope, serializeEnvelope } from '../../vault/src/envelope.ts'
import { encodeFields, type Field } from '../../vault/src/length-prefixed.ts'
import { open, seal } from '../../vault/src/seal.ts'

const place: Place = {
  deploymentId: 'deployment',
  table: 'table',
  column: 'column',
  rowId: 'row',
  organizationId: none,
  provider: none,
  origin: none,
  secretVersion: 1,
}
const key = { purpose: 'secret', version: 3, bytes: systemRandom(32) } as const
const keyOf = (version: number) => (version === key.version ? key : undefined)

describe('the envelope', () => {
  test('is parsed to what it was made of, and made of it again byte for byte', () => {
    fc.assert(
      fc.property(
        fc.record({
          ringVersion: fc.integer({ min: 0, max: 0xffff_ffff }),
          salt: bytes(32),
          nonce: bytes(24),
          commitment: bytes(32),
          ciphertext: fc.integer({ min: 1, max: 20 }).chain((blocks) => bytes(blocks * 64 + 16)),
        }),
        (envelope) => {
          const serialized = serializeEnvelope(envelope)
          const parsed = parseEnvelope(serialized)
          if (parsed.kind !== 'envelope') throw new Error(parsed.reason)
          expect(plain(parsed.envelope)).toEqual(plain(envelope))
          expect(serializeEnvelope(parsed.envelope).equals(serialized)).toBe(true)
        },
      ),
    )
  })

  test('never throws for bytes that are none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (garbage) => {
        expect(parseEnvelope(garbage).kind).toBe('malformed')
      }),
    )
  })

  test('is refused before it is looked at if its length is impossible', () => {
    const valid = seal(key, place, Buffer.from('x'), systemRandom)
    for (const length of [0, 1, 95, 96, valid.length - 1])
      expect(parseEnvelope(valid.subarray(0, length))).toEqual({ kind: 'malformed', reason: 'length' })
    const giant = Buffer.concat([valid, Buffer.alloc(64 * 20_000)])
    expect(parseEnvelope(giant)).toEqual({ kind: 'malformed', reason: 'length' })
  })
})

describe('sealing', () => {
  test('gives back every plaintext, and hides its length to 64 bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (plaintext) => {
        const sealed = seal(key, place, plaintext, systemRandom)
        expect(sealed.length).toBe(96 + Math.floor(plaintext.length / 64) * 64 + 64 + 16)
        const opened = open(keyOf, place, sealed)
        expect(opened.kind === 'opened' && Buffer.from(opened.plaintext).equals(plaintext)).toBe(true)
      }),
    )
  })

  test('never gives the same bytes twice', () => {
    const once = seal(key, place, Buffer.from('same'), systemRandom)
    expect(seal(key, place, Buffer.from('same'), systemRandom).equals(once)).toBe(false)
  })

  test('refuses a place with an empty field', () => {
    expect(() => seal(key, { ...place, rowId: '' }, Buffer.from('x'), systemRandom)).toThrow(RangeError)
  })

  test('refuses a key that was wiped', () => {
    const wiped = { ...key, bytes: new Uint8Array(32) }
    expect(() => seal(wiped, place, Buffer.from('x'), systemRandom)).toThrow(
      expect.objectContaining({ code: 'vault_sealed' }),
    )
  })
})

describe('the encoding that is authenticated', () => {
  const field: fc.Arbitrary<Field> = fc.oneof(
    fc.constant(null),
    fc.string({ maxLength: 6 }),
    fc.integer(),
    fc.uint8Array({ maxLength: 6 }),
  )

  test('is different for any two different lists of fields', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 5 }), fc.array(field, { maxLength: 5 }), (left, right) => {
        const same = JSON.stringify(left.map(typed)) === JSON.stringify(right.map(typed))
        expect(encodeFields(left).equals(encodeFields(right))).toBe(same)
      }),
      { numRuns: 2000 },
    )
  })

  test('tells apart every field of a place', () => {
    const encodings = Object.keys(place).map((name) =>
      Buffer.from(associatedData({ ...place, [name]: name === 'secretVersion' ? 2 : 'other' }, key)).toString(
        'hex',
      ),
    )
    expect(new Set(encodings).size).toBe(Object.keys(place).length)
  })
})

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length })
}

function plain(envelope: object): unknown {
  return Object.entries(envelope).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  ])
}

function typed(value: Field): unknown {
  return value instanceof Uint8Array ? ['bytes', ...value] : [typeof value, value]
}
