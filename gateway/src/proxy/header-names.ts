/** Headers that speak about one connection and end at it (RFC 9110, section 7.6.1). */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/**
 * Whether a header ends at this hop, by its name or because `connectionNamed` has it. How the content is
 * to be read goes with the content: without its type, a provider might read another model in it than we did.
 */
export function endsHere(lowerCaseName: string, connectionNamed: ReadonlySet<string> | null): boolean {
  if (hopByHop.has(lowerCaseName)) return true
  return connectionNamed?.has(lowerCaseName) === true && !lowerCaseName.startsWith('content-')
}

// uri-host and a port (RFC 3986, section 3.2.2), without the letters that no host has.
const hostAndPort = /^(?:[\w.~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?$/

/** Whether one host is named, and well: servers differ in which of two they believe (RFC 9112, section 3.2). */
export function namesOneHost(rawHeaders: readonly string[]): boolean {
  let host: string | null = null
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue
    if (host !== null) return false
    host = rawHeaders[index + 1] ?? ''
  }
  return host !== null && hostAndPort.test(host)
}

/**
 * The header names that a `Connection` header lists, with those of the ones before it (`before`); null
 * where there is nothing but `keep-alive` or `close`.
 */
export function namedByConnection(
  value: string,
  before: ReadonlySet<string> | null,
): ReadonlySet<string> | null {
  if (value === 'keep-alive' || value === 'close') return before
  const names = value
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  return new Set([...(before ?? []), ...names])
}
