import type { Clock, Log } from '@latchkey/shared'
import type { MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'

/** Logs every request that changes something, by its route: a path could hold whatever somebody pasted. */
export function logChanges({ log, clock }: { readonly log: Log; readonly clock: Clock }): MiddlewareHandler {
  return async function logChanges(c, next) {
    const begun = clock.monotonic()
    await next()
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return
    log.info('admin.request', {
      method: c.req.method,
      endpoint: matchedRoutes(c).at(-1)?.path ?? null,
      status: c.res.status,
      durationMs: Math.round(clock.monotonic() - begun),
    })
  }
}
