import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readStatus } from './status.ts'

/** `/api/status`: the running gateway, its vault and its database. */
export function statusRoutes(deps: AdminDependencies): Hono {
  return new Hono().get('/', async (c) => c.json(await readStatus(deps)))
}
