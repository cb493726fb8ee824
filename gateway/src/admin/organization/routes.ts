import { changeOrganizationWire } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody } from '../input.ts'
import { changeOrganization, type OrganizationSurroundings, showOrganization } from './organization.ts'

/** `/api/organization`: whom all of this belongs to. */
export function organizationRoutes({ vault, database, clock, random }: AdminDependencies): Hono {
  const surroundings: OrganizationSurroundings = {
    vault,
    database,
    organizationId: vault.defaultOrganizationId,
    clock,
    random,
  }
  return new Hono()
    .get('/', async (c) => c.json(await showOrganization(surroundings)))
    .patch('/', async (c) =>
      c.json(await changeOrganization(surroundings, await readBody(c, changeOrganizationWire))),
    )
}
