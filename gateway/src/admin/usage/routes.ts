import { usageQuery } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readQuery } from '../input.ts'
import { readUsage } from './usage.ts'

/** `/api/usage`: sums over what went through the gateway. */
export function usageRoutes({ vault, database, clock }: AdminDependencies): Hono {
  return new Hono().get('/', async (c) => {
    const surroundings = { vault, database, organizationId: vault.defaultOrganizationId, now: clock.now() }
    return c.json(await readUsage(surroundings, readQuery(c, usageQuery)))
  })
}
