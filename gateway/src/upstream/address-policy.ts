import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { type Cidr, containsAddress, isPublicAddress, parseAddress } from '@latchkey/shared'

/** An upstream that resolves to an address where no provider may be. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
  readonly code = 'ERR_ADDRESS_REFUSED'
}

/**
 * Whether a provider may be reached at `address`: public ones over TLS; private, loopback and
 * link-local ones, and plain http, only inside `allowed`.
 */
export function addressPermitted(address: string, secure: boolean, allowed: readonly Cidr[]): boolean {
  const parsed = parseAddress(address)
  if (parsed === null) return false
  return containsAddress(allowed, parsed) || (secure && isPublicAddress(parsed))
}

type LookupCallback = (error: Error | null, address: string | LookupAddress[], family?: number) => void

/**
 * A `lookup` for sockets that drops the addresses that are not permitted. It decides at connect
 * time, on what the socket will really use, so a name can't change its answer behind a check.
 */
export function permittedLookup(secure: boolean, allowed: readonly Cidr[]) {
  return (hostname: string, options: LookupOptions, callback: LookupCallback): void => {
    dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, [])
      const permitted = addresses.filter(({ address }) => addressPermitted(address, secure, allowed))
      const [first] = permitted
      if (first === undefined) return callback(new AddressRefused(refusal(hostname, secure)), [])
      if (options.all) callback(null, permitted)
      else callback(null, first.address, first.family)
    })
  }
}

/** What an operator must know who meets a refused address. */
export function refusal(hostname: string, secure: boolean): string {
  const why = secure ? 'has no public address' : 'is reached over plain http'
  return `${hostname} ${why}: allow its address block in LATCHKEY_ALLOW_UPSTREAM_CIDRS if that is meant`
}
