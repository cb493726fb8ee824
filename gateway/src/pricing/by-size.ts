import type { BySize } from './price.ts'

/**
 * What a table holds for the quality and size that a request names, in the table's order; all that the model may
 * choose from where the request leaves one to it. Empty: what it names is not listed.
 */
export function listedFor(table: BySize, quality: unknown, size: unknown): readonly bigint[] {
  const listed: bigint[] = []
  for (const [ofQuality, row] of table) {
    if (!isLeftOpen(quality) && ofQuality !== String(quality)) continue
    for (const [ofSize, value] of row) if (isLeftOpen(size) || ofSize === String(size)) listed.push(value)
  }
  return listed
}

/** The greatest of some values; null of none. */
export function greatest(values: readonly bigint[]): bigint | null {
  return values.reduce<bigint | null>((most, value) => (most === null || value > most ? value : most), null)
}

/** Whether a request leaves a quality or a size to the model. */
export function isLeftOpen(value: unknown): boolean {
  return value === undefined || value === null || value === 'auto'
}
