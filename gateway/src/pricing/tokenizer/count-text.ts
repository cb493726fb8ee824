import type { EncodingName } from './encoding.ts'

/** One encoding, loaded: tens of megabytes. */
export interface LoadedEncoding {
  /** What cuts a text into the pieces that are encoded apart. Global. */
  readonly pieces: RegExp
  /** Time grows with the square of the longest piece. */
  readonly count: (text: string) => number
}

/** Loads an encoding, which takes a quarter of a second. */
export async function loadEncoding(name: EncodingName): Promise<LoadedEncoding> {
  const [{ CL100K_TOKEN_SPLIT_REGEX, O200K_TOKEN_SPLIT_REGEX }, { countTokens }] = await Promise.all([
    import('gpt-tokenizer/encodingParams/constants'),
    name === 'o200k_base'
      ? import('gpt-tokenizer/encoding/o200k_base')
      : import('gpt-tokenizer/encoding/cl100k_base'),
  ])
  // Markers of a conversation that somebody wrote into a text are text.
  const options = { disallowedSpecial: new Set<string>() }
  return {
    pieces: name === 'o200k_base' ? O200K_TOKEN_SPLIT_REGEX : CL100K_TOKEN_SPLIT_REGEX,
    count: (text) => countTokens(text, options),
  }
}

/** In UTF-16 units. The longest word of a text that people wrote is far shorter. */
const longestPiece = 128

/** Characters that regular expressions of other languages take for white space, or a letter, where ours don't. */
const readTwoWays = /[\u0085\ufeff\u017f]/

/**
 * The most tokens that `text` is. Exact, but for pieces (a run of letters, or of anything else without end) that
 * are so long that merging them would take minutes: these count a token a byte, which no tokenizer exceeds.
 */
export function countText({ pieces, count }: LoadedEncoding, text: string): number {
  if (readTwoWays.test(text)) return Buffer.byteLength(text)
  let tokens = 0
  let from = 0
  for (const { 0: piece, index } of text.matchAll(pieces)) {
    if (piece.length <= longestPiece) continue
    tokens += count(text.slice(from, index)) + Buffer.byteLength(piece)
    from = index + piece.length
  }
  return tokens + count(text.slice(from))
}
