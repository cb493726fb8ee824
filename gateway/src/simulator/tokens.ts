/**
 * The simulator's tokenizer: a token is four UTF-8 bytes, the last one may be shorter, and a text has
 * at least one. Real tokenizers come to about the same for English, and like theirs the count never
 * exceeds the bytes of a text that is not empty.
 */
export function countTokens(text: string): number {
  return Math.max(1, tokensOfBytes(Buffer.byteLength(text)))
}

export const bytesPerToken = 4

/** Tokens of `bytes` bytes of text, without the least of one. */
export function tokensOfBytes(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken)
}

/** The longest beginning of `text` that has at most `tokens` tokens; it never splits a character. */
export function truncateToTokens(text: string, tokens: number): string {
  const bytes = Buffer.from(text)
  let end = tokens * bytesPerToken
  if (bytes.length <= end) return text
  // 10xxxxxx is a byte inside a character (RFC 3629, section 3).
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** A part of a text and the tokens that it adds to those of the parts before it. */
export interface Slice {
  readonly text: string
  readonly tokens: number
}

/** Cuts `text` into parts of about `tokens` tokens. Their tokens add up to those of the text exactly. */
export function* slices(text: string, tokens: number): Generator<Slice, void, undefined> {
  const step = tokens * bytesPerToken
  let bytes = 0
  for (let start = 0; start < text.length; ) {
    let end = Math.min(text.length, start + step)
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end++
    const part = text.slice(start, end)
    const before = tokensOfBytes(bytes)
    bytes += Buffer.byteLength(part)
    yield { text: part, tokens: tokensOfBytes(bytes) - before }
    start = end
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
