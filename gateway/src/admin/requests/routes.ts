import { requestsQuery } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readQuery } from '../input.ts'
import { readBodies } from './bodies.ts'
import { listRequests, showRequest } from './requests.ts'

/** `/api/requests`: what went through the gateway. */
export function requestRoutes({ database, vault, log }: AdminDependencies): Hono {
  const organizationId = vault.defaultOrganizationId
  return new Hono()
    .get('/', async (c) => c.json(await listRequests(database, organizationId, readQuery(c, requestsQuery))))
    .get('/:id', async (c) => c.json(await showRequest(database, organizationId, c.req.param('id'))))
    .get('/:id/bodies', async (c) =>
      c.json(await readBodies({ vault, database, organizationId, log }, c.req.param('id'))),
    )
}
