import { changeGroupWire, createGroupWire, groupsQuery } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody, readQuery } from '../input.ts'
import { noInput } from '../no-input.ts'
import {
  changeGroup,
  createGroup,
  type GroupSurroundings,
  listGroups,
  revokeGroup,
  showGroup,
  switchGroup,
} from './groups.ts'

/** `/api/groups`: proxy keys that share budgets and limits. `:id` is an id or a name. */
export function groupRoutes({ vault, database, clock, random }: AdminDependencies): Hono {
  const surroundings: GroupSurroundings = {
    vault,
    database,
    organizationId: vault.defaultOrganizationId,
    clock,
    random,
  }
  const app = new Hono()
    .get('/', async (c) => c.json(await listGroups(surroundings, readQuery(c, groupsQuery))))
    .post('/', async (c) => c.json(await createGroup(surroundings, await readBody(c, createGroupWire)), 201))
    .get('/:id', async (c) => c.json(await showGroup(surroundings, c.req.param('id'))))
    .patch('/:id', async (c) =>
      c.json(await changeGroup(surroundings, c.req.param('id'), await readBody(c, changeGroupWire))),
    )
    .post('/:id/revoke-all', async (c) => {
      await readBody(c, noInput)
      return c.json(await revokeGroup(surroundings, c.req.param('id')))
    })
  for (const change of ['pause', 'resume'] as const) {
    app.post(`/:id/${change}`, async (c) => {
      await readBody(c, noInput)
      return c.json(await switchGroup(surroundings, c.req.param('id'), change))
    })
  }
  return app
}
