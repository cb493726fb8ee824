import { type ProxyKeyId, systemRandom } from '@latchkey/shared'
import { TokenFormat } from '@latchkey/vault'

const format = new TokenFormat()

/**
 * The `index`th of endlessly many tokens that open nothing, one kind in turn: no token at all, one with a
 * bad checksum, one of an id that nobody has, and another secret for the id of `good`, the dearest to refuse.
 */
export function bogusKey(good: string, index: number): string {
  const fresh = format.mint('proxy', systemRandom).token.reveal()
  switch (index % 4) {
    case 0:
      return fresh.slice(0, 40)
    case 1:
      return `${fresh.slice(0, -6)}000000`
    case 2:
      return fresh
    default:
      return format.mint('proxy', systemRandom, idOf(good)).token.reveal()
  }
}

function idOf(token: string): ProxyKeyId {
  const parsed = format.parse(token, 'proxy')
  if (parsed.kind !== 'ok') throw new Error(parsed.kind)
  return parsed.id
}
