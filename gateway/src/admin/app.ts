import { LatchkeyError } from '@latchkey/shared'
import { Hono } from 'hono'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { authenticate } from './authenticate.ts'
import { browserGuard } from './browser-guard.ts'
import type { AdminDependencies } from './dependencies.ts'
import { errorAnswer } from './error-answer.ts'
import { keyRoutes } from './keys/routes.ts'
import { logChanges } from './log-changes.ts'
import { providerKeyRoutes } from './provider-keys/routes.ts'
import { refusalRoutes } from './refusals/routes.ts'
import { requestRoutes } from './requests/routes.ts'
import { statusRoutes } from './status/routes.ts'
import { vaultRoutes } from './vault/routes.ts'

/** The admin plane: everything under `/api`, for whoever holds the admin token. What is not listed here is refused. */
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
  app.use(browserGuard(deps.adminHost))
  app.use(authenticate(deps.adminToken, deps.log))
  app.use(logChanges(deps))
  app.route('/api/status', statusRoutes(deps))
  app.route('/api/provider-keys', providerKeyRoutes(deps))
  app.route('/api/keys', keyRoutes(deps))
  app.route('/api/requests', requestRoutes(deps))
  app.route('/api/refusals', refusalRoutes(deps))
  app.route('/api/vault', vaultRoutes(deps))
  return app
}
