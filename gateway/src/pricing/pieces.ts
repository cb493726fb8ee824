import type { Pieces } from './cost.ts'
import type { Price } from './price.ts'

/**
 * What a request orders by the piece, where its model bills so: images by number, quality and size, speech by
 * characters. Null: it is billed by what its answer says was used. What it leaves to the model is named `auto`,
 * which stands on no price list.
 */
export function piecesAsked(price: Price, fields: Readonly<Record<string, unknown>>): Pieces | null {
  const { perImage, perCharacter } = price.units
  if (perImage === null && perCharacter === null) return null
  return {
    images: perImage === null ? null : imagesAsked(fields),
    characters: perCharacter !== null && typeof fields.input === 'string' ? codePoints(fields.input) : 0,
  }
}

function imagesAsked(fields: Readonly<Record<string, unknown>>): Pieces['images'] {
  const count = Number(fields.n ?? 1)
  return {
    count: Number.isSafeInteger(count) && count >= 1 ? count : 1,
    quality: typeof fields.quality === 'string' ? fields.quality : 'auto',
    size: typeof fields.size === 'string' ? fields.size : 'auto',
  }
}

function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
