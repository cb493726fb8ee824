import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { BodyBlock } from '../../gateway/src/proxy/body-block.ts'
import { BufferedBytes } from '../../gateway/src/proxy/buffered-bytes.ts'

const mebibyte = 2 ** 20

/** Copies, so that each chunk has memory of its own, as those of a socket. */
function chunksOf(body: Buffer, size: number): readonly Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < body.length; at += size) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(size, body.length - at))
    body.copy(chunk, 0, at, at + chunk.length)
    chunks.push(chunk)
  }
  return chunks
}

test.each([
  [1, 100_000],
  [7, 100_000],
  [60_000, 100_000],
  [100_000, 100_000],
  [65_536, 3_000_000],
])(
  'a body in chunks of %d bytes is %d bytes whole, and at most twice that is taken for it',
  (size, length) => {
    const body = randomBytes(length)
    const memory = new BufferedBytes(64 * mebibyte, 32 * mebibyte)
    for (const announced of [length, 32 * mebibyte]) {
      const share = memory.open('key')
      const block = new BodyBlock(share, announced)
      for (const chunk of chunksOf(body, size)) expect(block.add(chunk)).toBe(true)
      expect(block.whole().equals(body)).toBe(true)
      expect(memory.held).toBeGreaterThanOrEqual(block.whole().buffer.byteLength)
      expect(memory.held).toBeLessThanOrEqual(announced === length ? length : 2 * length)
      share.close()
    }
  },
)

test('a chunk is not kept once its bytes are: a body of one-byte chunks takes its size, not hundreds of times that', () => {
  const share = new BufferedBytes(64 * mebibyte, 32 * mebibyte).open('key')
  const block = new BodyBlock(share, 32 * mebibyte)
  const count = 400_000
  const memoryOf = ({ heapUsed, external }: NodeJS.MemoryUsage) => heapUsed + external
  const before = memoryOf(process.memoryUsage())
  for (let added = 0; added < count; added++) block.add(Buffer.allocUnsafeSlow(1))
  expect(block.length).toBe(count)
  // Kept chunks would be 160 MB.
  expect(memoryOf(process.memoryUsage()) - before).toBeLessThan(80 * mebibyte)
})

test('nothing is taken for a body that was only announced', () => {
  const memory = new BufferedBytes(64 * mebibyte, 32 * mebibyte)
  const block = new BodyBlock(memory.open('key'), 32 * mebibyte)
  expect(memory.held).toBe(0)
  for (const chunk of chunksOf(randomBytes(1000), 500)) block.add(chunk)
  expect(memory.held).toBeLessThan(20_000)
})

test('the memory that is taken counts, not the bytes that came', () => {
  const memory = new BufferedBytes(100_000, 100_000)
  const slices = Array.from({ length: 2 }, () => Buffer.allocUnsafeSlow(60_000).subarray(0, 10))
  const adds = slices.map((slice) => new BodyBlock(memory.open('key'), 10).add(slice))
  expect(adds).toEqual([true, false])
  expect(memory.held).toBe(60_000)
})

test('a body that outgrows the memory that is free is told so, having taken no more', () => {
  const memory = new BufferedBytes(100_000, 100_000)
  const block = new BodyBlock(memory.open('key'), mebibyte)
  const added = chunksOf(randomBytes(200_000), 10_000).map((chunk) => block.add(chunk))
  expect(added.indexOf(false)).toBeGreaterThan(3)
  expect(memory.held).toBeLessThanOrEqual(100_000)
})
