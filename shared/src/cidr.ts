import ipaddr from 'ipaddr.js'

/** An address block, parsed. IPv4 addresses mapped into IPv6 are held as IPv4. */
export interface Cidr {
  readonly text: string
  readonly address: Address
  readonly bits: number
}

type Address = ipaddr.IPv4 | ipaddr.IPv6

// The same clients come again and again, and a look-up costs a tenth of parsing. Emptied when it is full: whoever
// sends many addresses can't take our memory.
const parsedLately = new Map<string, Address | null>()
const mostParsed = 1000
const longestKept = 45

/** The address that `text` spells, IPv4-mapped ones as IPv4, or null. Zones (`%eth0`) are dropped. */
export function parseAddress(text: string): Address | null {
  const known = parsedLately.get(text)
  if (known !== undefined) return known
  const address = parse(text)
  if (parsedLately.size >= mostParsed) parsedLately.clear()
  if (text.length <= longestKept) parsedLately.set(text, address)
  return address
}

const spelledLately = new WeakMap<Address, string>()

/** The one text that stands for an address, however it was spelled. */
export function spellAddress(address: Address): string {
  const known = spelledLately.get(address)
  if (known !== undefined) return known
  const text = address.toString()
  spelledLately.set(address, text)
  return text
}

function parse(text: string): Address | null {
  const zone = text.indexOf('%')
  const bare = zone === -1 ? text : text.slice(0, zone)
  // isValidFourPartDecimal: the library would also read "010.1" or "1" as IPv4, as C's inet_aton does.
  if (ipaddr.IPv4.isValidFourPartDecimal(bare)) return ipaddr.IPv4.parse(bare)
  if (!bare.includes(':') || !ipaddr.IPv6.isValid(bare)) return null
  const parsed = ipaddr.IPv6.parse(bare)
  return parsed.isIPv4MappedAddress() ? parsed.toIPv4Address() : parsed
}

/** The block that `text` spells (`10.0.0.0/8`, `2001:db8::/32`, or one bare address), or null. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/')
  const address = parseAddress(slash === -1 ? text : text.slice(0, slash))
  if (address === null || text.includes('%')) return null
  const mapped = address.kind() === 'ipv4' && text.includes(':')
  const width = address.kind() === 'ipv4' ? 32 : 128
  if (slash === -1) return { text, address, bits: width }
  const digits = text.slice(slash + 1)
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(digits)) return null
  const bits = Number(digits) - (mapped ? 96 : 0)
  return bits < 0 || bits > width ? null : { text, address, bits }
}

/** Whether any of `blocks` contains `address`. Families never match across. */
export function containsAddress(blocks: readonly Cidr[], address: Address): boolean {
  for (const block of blocks) {
    if (block.address.kind() === 'ipv4') {
      if (
        address instanceof ipaddr.IPv4 &&
        block.address instanceof ipaddr.IPv4 &&
        address.match(block.address, block.bits)
      )
        return true
    } else if (
      address instanceof ipaddr.IPv6 &&
      block.address instanceof ipaddr.IPv6 &&
      address.match(block.address, block.bits)
    ) {
      return true
    }
  }
  return false
}

/** Whether `address` is on the public internet: not private, loopback, link-local, shared, reserved or tunnelled. */
export function isPublicAddress(address: Address): boolean {
  return address.range() === 'unicast'
}
