import { crc32 } from 'node:zlib'
import { LatchkeyError, type ProxyKeyId, type RandomBytes, Secret } from '@latchkey/shared'
import { base62, isBase62, randomBase62 } from './base62.ts'

/** What a token opens: the data plane, the admin plane, or one claim of a new key. */
export type TokenType = 'proxy' | 'admin' | 'claim'

/** A token just made. The text is shown once and stored nowhere. */
export interface MintedToken {
  readonly id: ProxyKeyId
  readonly token: Secret
}

export type TokenParse =
  | { readonly kind: 'ok'; readonly id: ProxyKeyId; readonly secret: Secret }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'bad-checksum' }
  | { readonly kind: 'wrong-type' }

const idLength = 12
const secretLength = 43
const checksumLength = 6
/** Of what follows the prefix. */
const restLength = idLength + 1 + secretLength + checksumLength
const suffixes = { proxy: '', admin: 'a', claim: 'c' } as const satisfies Record<TokenType, string>
const types = ['proxy', 'admin', 'claim'] as const satisfies readonly TokenType[]
const prefixShape = /^[a-z]{2,16}$/

/**
 * The grammar of tokens: `lk_<id: 12 base62>_<secret: 43 base62><crc32: 6 base62>`; `lka_` for admin
 * tokens and `lkc_` for claim codes. The checksum covers everything before it, so that a typing error,
 * a cut and a scanner's guess are told apart from a key without any I/O.
 */
export class TokenFormat {
  readonly #prefixes: Readonly<Record<TokenType, string>>

  /** Throws `invalid_config` unless `prefix` is 2 to 16 lower-case letters. */
  constructor(prefix = 'lk') {
    if (!prefixShape.test(prefix))
      throw new LatchkeyError('invalid_config', { message: 'The key prefix must be 2 to 16 letters a-z.' })
    this.#prefixes = {
      proxy: `${prefix}${suffixes.proxy}_`,
      admin: `${prefix}${suffixes.admin}_`,
      claim: `${prefix}${suffixes.claim}_`,
    }
  }

  /** A new token; with `id`, a new secret for a key that exists. */
  mint(type: TokenType, random: RandomBytes, id?: ProxyKeyId): MintedToken {
    const keyId = id ?? (randomBase62(idLength, random) as ProxyKeyId)
    const body = `${this.#prefixes[type]}${keyId}_${randomBase62(secretLength, random)}`
    return { id: keyId, token: new Secret(`${body}${checksum(body)}`) }
  }

  /** Whether a text has the prefix and the length of such a token. */
  fits(text: string, type: TokenType): boolean {
    const prefix = this.#prefixes[type]
    return text.length === prefix.length + restLength && text.startsWith(prefix)
  }

  /** Reads a token that must be of `type`. One spelling only: nothing is trimmed, folded or decoded. */
  parse(text: string, type: TokenType): TokenParse {
    for (const candidate of types) {
      if (!this.fits(text, candidate)) continue
      const prefix = this.#prefixes[candidate]
      const idEnd = prefix.length + idLength
      const checksumStart = text.length - checksumLength
      if (text[idEnd] !== '_') return { kind: 'malformed' }
      if (!isBase62(text, prefix.length, idEnd) || !isBase62(text, idEnd + 1, text.length))
        return { kind: 'malformed' }
      if (text.slice(checksumStart) !== checksum(text.slice(0, checksumStart)))
        return { kind: 'bad-checksum' }
      if (candidate !== type) return { kind: 'wrong-type' }
      return {
        kind: 'ok',
        id: text.slice(prefix.length, idEnd) as ProxyKeyId,
        secret: new Secret(text.slice(idEnd + 1, checksumStart)),
      }
    }
    return { kind: 'malformed' }
  }
}

function checksum(body: string): string {
  return base62(crc32(body), checksumLength)
}
