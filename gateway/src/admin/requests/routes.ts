import { requestsQuery } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readQuery } from '../input.ts'
import { listRequests } from './requests.ts'

/** `/api/requests`: what went through the gateway. */
export function requestRoutes({ database, vault }: AdminDependencies): Hono {
  return new Hono().get('/', async (c) =>
    c.json(await listRequests(database, vault.defaultOrganizationId, readQuery(c, requestsQuery))),
  )
}
