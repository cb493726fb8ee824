import { LatchkeyError } from '@latchkey/shared'

const defaultPorts: Readonly<Record<string, string>> = { 'https:': '443', 'http:': '80' }

/**
 * A provider's base URL in its one spelling: scheme, host in lower case, port unless it is the default,
 * path without a trailing slash. Throws `invalid_request` for anything but plain http(s) URLs: no user,
 * query or fragment. Whether the host may be reached at all is decided when it is connected to.
 */
export function canonicalBaseUrl(text: string): string {
  const url = text.length <= 2048 && URL.canParse(text) ? new URL(text) : undefined
  if (
    url === undefined ||
    !(url.protocol in defaultPorts) ||
    url.username !== '' ||
    url.password !== '' ||
    /[?#\s]/.test(text)
  )
    throw new LatchkeyError('invalid_request', {
      message: 'The base URL must look like https://host/v1, without user, query or fragment.',
      param: 'baseUrl',
    })
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** What the seal binds of a canonical base URL: the same, with its port spelled out. */
export function boundOrigin(baseUrl: string): string {
  if (!URL.canParse(baseUrl)) return `invalid:${baseUrl}`
  const { protocol, hostname, port } = new URL(baseUrl)
  const origin = `${protocol}//${hostname}:${port === '' ? defaultPorts[protocol] : port}`
  // The rest as it is stored, not as it parses: an edit that a parser would forgive must fail too.
  return `${origin} ${baseUrl}`
}
