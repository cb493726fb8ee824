import { hash, timingSafeEqual } from 'node:crypto'
import { LatchkeyError, type Log, type Secret } from '@latchkey/shared'
import type { MiddlewareHandler } from 'hono'

/**
 * Lets pass who sends the admin token as `Authorization: Bearer`. Throws `invalid_admin_token` for
 * everything else, a proxy key included. Digests are compared, so that neither length nor content
 * of the token shows in the time that it takes.
 */
export function authenticate(adminToken: Secret, log: Log): MiddlewareHandler {
  const expected = hash('sha256', adminToken.reveal(), 'buffer')
  return async function authenticate(c, next) {
    const presented = /^Bearer ([!-~]{1,512})$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? ''
    if (!timingSafeEqual(hash('sha256', presented, 'buffer'), expected)) {
      log.warn('admin.token_refused', { method: c.req.method })
      throw new LatchkeyError('invalid_admin_token')
    }
    await next()
  }
}
