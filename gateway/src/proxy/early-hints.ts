import type { ServerResponse } from 'node:http'

/** Passes on the links of a 103 (RFC 8297). `flat`: name, value, name, value…. */
export function writeEarlyHints(outgoing: ServerResponse, flat: readonly string[]): void {
  const values = flat.filter((_, index) => index % 2 === 1 && flat[index - 1]?.toLowerCase() === 'link')
  const link = values.flatMap((value) => value.split(/,\s*(?=<)/))
  if (link.length === 0) return
  try {
    outgoing.writeEarlyHints({ link })
  } catch {
    // Node throws at links that its own pattern does not know. A hint may be lost; the answer must not be.
  }
}
