import { LatchkeyError } from '@latchkey/shared'
import { Hono } from 'hono'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { authenticate } from './authenticate.ts'
import { browserGuard } from './browser-guard.ts'
import { budgetRoutes } from './budgets/routes.ts'
import type { AdminDependencies } from './dependencies.ts'
import { errorAnswer } from './error-answer.ts'
import { groupRoutes } from './groups/routes.ts'
import { keyRoutes } from './keys/routes.ts'
import { logChanges } from './log-changes.ts'
import { metricsRoutes } from './metrics/routes.ts'
import { organizationRoutes } from './organization/routes.ts'
import { priceRoutes } from './prices/routes.ts'
import { providerKeyRoutes } from './provider-keys/routes.ts'
import { refusalRoutes } from './refusals/routes.ts'
import { requestRoutes } from './requests/routes.ts'
import { statusRoutes } from './status/routes.ts'
import { usageRoutes } from './usage/routes.ts'
import { vaultRoutes } from './vault/routes.ts'

/** The admin plane: `/metrics`, and everything under `/api` for whoever holds the admin token. What is not listed here is refused. */
export function createAdminApp(deps: AdminDependencies): Hono {
  const app = new Hono()
  app.onError((error) => errorAnswer(error, deps.log))
  app.notFound(() =>
    errorAnswer(new LatchkeyError('not_found', { message: 'The admin API has no such path.' }), deps.log),
  )
  app.use(async function noStore(c, next) {
    await next()
    c.header('cache-control', 'no-store')
  })
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (_c, methods) =>
        errorAnswer(new LatchkeyError('method_not_allowed'), deps.log, { allow: methods.join(', ') }),
    }),
  )
  // Before the guard: scrapers name the gateway as their network does, and no browser has one of these tokens.
  app.route('/metrics', metricsRoutes(deps))
  app.use(browserGuard(deps.adminHost))
  app.use(authenticate([deps.adminToken], deps.log))
  app.use(logChanges(deps))
  app.use(async function noNulInPath(c, next) {
    // Postgres can't even be asked for it, so nothing has such a name.
    if (new URL(c.req.url).pathname.includes('%00')) throw new LatchkeyError('not_found')
    await next()
  })
  app.route('/api/status', statusRoutes(deps))
  app.route('/api/provider-keys', providerKeyRoutes(deps))
  app.route('/api/keys', keyRoutes(deps))
  app.route('/api/groups', groupRoutes(deps))
  app.route('/api/organization', organizationRoutes(deps))
  app.route('/api/budgets', budgetRoutes(deps))
  app.route('/api/prices', priceRoutes(deps))
  app.route('/api/requests', requestRoutes(deps))
  app.route('/api/refusals', refusalRoutes(deps))
  app.route('/api/usage', usageRoutes(deps))
  app.route('/api/vault', vaultRoutes(deps))
  return app
}
