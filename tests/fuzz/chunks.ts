import fc from 'fast-check'

/** Where a text is cut into chunks: any number of times, anywhere. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.array(fc.nat(10_000), { maxLength: 12 })

/** `bytes` in chunks that end at `at`, modulo the length; empty chunks, which no socket gives, are left out. */
export function cutAt(bytes: Buffer, at: readonly number[]): readonly Buffer[] {
  const places = [...at.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return places
    .map((end, index) => bytes.subarray(places[index - 1] ?? 0, end))
    .filter((chunk) => chunk.length > 0)
}
