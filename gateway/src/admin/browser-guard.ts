import { LatchkeyError, parseAddress } from '@latchkey/shared'
import type { MiddlewareHandler } from 'hono'

/**
 * Refuses what only a browser on a foreign page sends. No page has the token, but what is refused
 * before it is looked at can't be probed either: a page that had its own name resolve to 127.0.0.1
 * (DNS rebinding) shows by its `Host`, one that posts across sites by `Origin` or `Sec-Fetch-Site`.
 * Throws `permission_denied`.
 */
export function browserGuard(adminHost: string): MiddlewareHandler {
  return async function browserGuard(c, next) {
    if (!isOwnHost(c.req.header('host') ?? '', adminHost)) {
      throw new LatchkeyError('permission_denied', {
        message:
          'The Host header names neither this machine nor an address. Use http://127.0.0.1 with the admin port, or set LATCHKEY_ADMIN_HOST to the name that you use.',
      })
    }
    const site = c.req.header('sec-fetch-site') ?? 'none'
    if (c.req.header('origin') !== undefined || !['none', 'same-origin'].includes(site)) {
      throw new LatchkeyError('permission_denied', { message: 'The admin API is not for pages of browsers.' })
    }
    await next()
  }
}

/** An address can't be rebound, so any is good; of names, only `localhost` and the configured one. */
function isOwnHost(header: string, adminHost: string): boolean {
  const authority = `http://${header}`
  if (header === '' || !URL.canParse(authority)) return false
  const host = new URL(authority).hostname.replace(/^\[|\]$/g, '')
  return host === 'localhost' || host === adminHost.toLowerCase() || parseAddress(host) !== null
}
