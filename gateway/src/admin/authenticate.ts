import { hash, timingSafeEqual } from 'node:crypto'
import { LatchkeyError, type Log, type Secret } from '@latchkey/shared'
import type { MiddlewareHandler } from 'hono'

/**
 * Lets pass who sends one of `tokens` as `Authorization: Bearer`. Throws `invalid_admin_token` for
 * everything else, a proxy key included. Digests are compared, all of them, so that neither length nor
 * content of a token shows in the time that it takes.
 */
export function authenticate(tokens: readonly Secret[], log: Log): MiddlewareHandler {
  const accepted = tokens.map((token) => hash('sha256', token.reveal(), 'buffer'))
  return async function authenticate(c, next) {
    const presented = /^Bearer ([!-~]{1,512})$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? ''
    const digest = hash('sha256', presented, 'buffer')
    if (accepted.filter((token) => timingSafeEqual(digest, token)).length === 0) {
      log.warn('admin.token_refused', { method: c.req.method })
      throw new LatchkeyError('invalid_admin_token')
    }
    await next()
  }
}
