import { type Cidr, containsAddress, parseAddress, spellAddress } from '@latchkey/shared'

/**
 * The client's address. `x-forwarded-for` is believed only as far as trusted proxies wrote it: from
 * the right, the first address that is not a trusted proxy's. What can't be parsed ends the walk, so
 * a client can't invent an address by sending the header itself.
 */
export function clientAddress(peer: string, forwardedFor: string, trusted: readonly Cidr[]): string {
  let address = parseAddress(peer)
  if (address === null) return peer
  if (forwardedFor !== '' && trusted.length > 0) {
    const hops = forwardedFor.split(',')
    while (hops.length > 0 && containsAddress(trusted, address)) {
      const hop = parseAddress((hops.pop() ?? '').trim())
      if (hop === null) break
      address = hop
    }
  }
  return spellAddress(address)
}
