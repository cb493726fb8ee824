import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { open } from '../../vault/src/seal.ts'

const directory = join(import.meta.dirname, '../vectors/sealed')
const text = z.string().min(1)
const vector = z.strictObject({
  title: text,
  expect: z.enum(['opened', 'damaged']),
  plaintext: z.string().nullable(),
  key: z.strictObject({ purpose: z.enum(['secret', 'webhook']), version: z.int(), bytes: z.hex() }),
  place: z.strictObject({
    deploymentId: text,
    table: text,
    column: text,
    rowId: text,
    organizationId: text,
    provider: text,
    origin: text,
    secretVersion: z.int(),
  }),
  envelopes: z.array(z.base64()).min(1),
})

describe('a sealed value opens under its key, at its place, byte for byte, and else not at all', () => {
  for (const file of readdirSync(directory)) {
    const { title, place, ...rest } = vector.parse(JSON.parse(readFileSync(join(directory, file), 'utf8')))
    const key = { ...rest.key, bytes: Buffer.from(rest.key.bytes, 'hex') }

    test(`${rest.expect}: ${title}`, () => {
      for (const envelope of rest.envelopes) {
        const keyOf = (version: number) => (version === key.version ? key : undefined)
        const opened = open(keyOf, place, Buffer.from(envelope, 'base64'))
        expect(opened.kind).toBe(rest.expect)
        if (opened.kind === 'opened')
          expect(Buffer.from(opened.plaintext).toString('utf8')).toBe(rest.plaintext)
      }
    })
  }
})
