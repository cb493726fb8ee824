import { bytesPerToken } from './tokens.ts'

// Words of three letters: with the space after it, each is exactly one token.
const words =
  'the cat sat and ran for all you can see her own sun set low sky far out new day old man sea who had one big red fox dog hid way'
const cycle = `${words} `
const cycleTokens = cycle.length / bytesPerToken
const stock = cycle.repeat(65)
const stockTokens = cycleTokens * 64

/** Plain ASCII text of exactly `tokens` tokens (at least one); `start` chooses the word it begins with. */
export function prose(tokens: number, start: number): string {
  const first = (start % cycleTokens) * bytesPerToken
  const source = tokens <= stockTokens ? stock : cycle.repeat(Math.ceil(tokens / cycleTokens) + 1)
  return `${source.slice(first, first + tokens * bytesPerToken - 1)}.`
}
