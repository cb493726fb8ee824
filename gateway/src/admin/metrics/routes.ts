import { Hono } from 'hono'
import { expositionType } from '../../metrics/exposition.ts'
import { authenticate } from '../authenticate.ts'
import type { AdminDependencies } from '../dependencies.ts'

/** `/metrics`: for who holds the admin token, or the one for metrics. */
export function metricsRoutes({ adminToken, metricsToken, metrics, log }: AdminDependencies): Hono {
  const tokens = metricsToken === null ? [adminToken] : [adminToken, metricsToken]
  return new Hono()
    .use(authenticate(tokens, log))
    .get('/', async (c) => c.body(await metrics(), 200, { 'content-type': expositionType }))
}
