import type { RandomBytes } from '@latchkey/shared'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** Bytes from here on would make the first letters likelier: they are thrown away. */
const unbiasedBelow = 256 - (256 % alphabet.length)

/** `length` base62 characters, each with the same likelihood. */
export function randomBase62(length: number, random: RandomBytes): string {
  let text = ''
  while (text.length < length) {
    for (const byte of random(length)) {
      if (byte < unbiasedBelow && text.length < length) text += alphabet[byte % alphabet.length]
    }
  }
  return text
}

/** `value` in base62 with leading zeros. Throws `RangeError` if it does not fit into `length` characters. */
export function base62(value: number, length: number): string {
  let rest = value
  let text = ''
  for (let at = 0; at < length; at++) {
    text = `${alphabet[rest % alphabet.length]}${text}`
    rest = Math.floor(rest / alphabet.length)
  }
  if (rest !== 0) throw new RangeError(`${value} does not fit into ${length} base62 characters`)
  return text
}

/** Whether every character of `text` from `start` up to `end` is base62. */
export function isBase62(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    const digit = code >= 48 && code <= 57
    const upper = code >= 65 && code <= 90
    const lower = code >= 97 && code <= 122
    if (!digit && !upper && !lower) return false
  }
  return true
}
