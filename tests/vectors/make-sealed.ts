/**
 * Makes `sealed/*.json`. Run it only when the format gets a new version: the point of vectors is that
 * they stay as they are while the code changes.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Place } from '../../vault/src/associated-data.ts'
import type { SealingKey } from '../../vault/src/record-keys.ts'
import { seal } from '../../vault/src/seal.ts'

const key: SealingKey = { purpose: 'secret', version: 7, bytes: pattern(32, 1) }
const place: Place = {
  deploymentId: '01890a5d-ac96-774b-bcce-b302099a8057',
  table: 'provider_key',
  column: 'envelope',
  rowId: '01890a5d-ac96-774b-bcce-b302099a8058',
  organizationId: '01890a5d-ac96-774b-bcce-b302099a8059',
  provider: 'openai',
  origin: 'https://api.openai.com:443 https://api.openai.com/v1',
  secretVersion: 3,
}
const plaintext = 'sk-proj-a-vector-that-opens-nothing'
const sealed = seal(key, place, Buffer.from(plaintext), (size) => pattern(size, size))

write('opens', { title: 'the right key at the right place opens it', plaintext, envelopes: [sealed] })

const elsewhere: readonly Partial<Place>[] = [
  { deploymentId: '01890a5d-ac96-774b-bcce-b30209900000' },
  { table: 'webhook' },
  { column: 'secret' },
  { rowId: '01890a5d-ac96-774b-bcce-b30209900000' },
  { organizationId: '01890a5d-ac96-774b-bcce-b30209900000' },
  { provider: 'openai-compatible' },
  { origin: 'https://api.openai.com:443 https://api.openai.com/v2' },
  { secretVersion: 2 },
]
for (const change of elsewhere) {
  const field = Object.keys(change).join()
  write(`wrong-${kebab(field)}`, {
    title: `another ${field} than it was sealed for`,
    place: { ...place, ...change },
    envelopes: [sealed],
  })
}
write('shifted-fields', {
  title: 'fields that spell the same when they are run together',
  place: { ...place, table: 'provider', column: '_keyenvelope' },
  envelopes: [sealed],
})
write('wrong-purpose', {
  title: 'a key of another purpose with the same bytes',
  key: { ...key, purpose: 'webhook' },
  envelopes: [sealed],
})
write('wrong-key-version', {
  title: 'another version of the key with the same bytes',
  key: { ...key, version: 8 },
  envelopes: [edited((bytes) => bytes.writeUInt32BE(8, 4))],
})
write('wrong-key', {
  title: 'another key',
  key: { ...key, bytes: pattern(32, 2) },
  envelopes: [sealed],
})
write('unknown-key-version', {
  title: 'a version of the key that is not there',
  envelopes: [edited((bytes) => bytes.writeUInt32BE(6, 4)), edited((bytes) => bytes.writeUInt32BE(0, 4))],
})
write('wrong-magic', { title: 'something else than an envelope', envelopes: [edited((b) => b.write('lk'))] })
write('wrong-version', {
  title: 'an unknown version of the format',
  envelopes: [0, 2, 255].map((version) => edited((bytes) => bytes.writeUInt8(version, 2))),
})
write('wrong-algorithm', {
  title: 'an unknown algorithm',
  envelopes: [0, 2, 255].map((algorithm) => edited((bytes) => bytes.writeUInt8(algorithm, 3))),
})
write('wrong-commitment', {
  title: 'a commitment to another key',
  envelopes: [edited((bytes) => bytes.fill(0, 64, 96))],
})
write('truncated', {
  title: 'cut at every length',
  envelopes: Array.from(sealed, (_, length) => sealed.subarray(0, length)),
})
write('flipped-bit', {
  title: 'one bit of each byte flipped',
  envelopes: Array.from(sealed, (byte, at) =>
    edited((bytes) => bytes.writeUInt8(byte ^ (1 << (at % 8)), at)),
  ),
})
write('trailing-bytes', {
  title: 'more bytes than belong to it',
  envelopes: [1, 16, 63, 64, 128].map((more) => Buffer.concat([sealed, pattern(more, 9)])),
})

interface Vector {
  readonly title: string
  readonly key?: SealingKey
  readonly place?: Place
  readonly plaintext?: string
  readonly envelopes: readonly Uint8Array[]
}

function write(name: string, vector: Vector): void {
  const used = vector.key ?? key
  const json = {
    title: vector.title,
    expect: vector.plaintext === undefined ? 'damaged' : 'opened',
    plaintext: vector.plaintext ?? null,
    key: { ...used, bytes: Buffer.from(used.bytes).toString('hex') },
    place: vector.place ?? place,
    envelopes: vector.envelopes.map((bytes) => Buffer.from(bytes).toString('base64')),
  }
  writeFileSync(join(import.meta.dirname, 'sealed', `${name}.json`), `${JSON.stringify(json, null, 2)}\n`)
}

function edited(edit: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(sealed)
  edit(bytes)
  return bytes
}

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (seed * 31 + at * 7 + 1) % 256)
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
