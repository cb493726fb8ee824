import {
  addProviderKeyWire,
  changeProviderKeyWire,
  pageQuery,
  removeProviderKeyQuery,
  rotateProviderKeyWire,
  Secret,
} from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody, readQuery } from '../input.ts'
import { noInput } from '../no-input.ts'
import {
  addProviderKey,
  changeProviderKey,
  listProviderKeys,
  noSuchProviderKey,
  type ProviderKeySurroundings,
  removeProviderKey,
  rotateProviderKey,
  showProviderKey,
} from './provider-keys.ts'

/** `/api/provider-keys`: the secrets of providers, none of which is ever given back. */
export function providerKeyRoutes(deps: AdminDependencies): Hono {
  const { vault, database, clock, random, testProviderKey } = deps
  const organizationId = vault.defaultOrganizationId
  const surroundings: ProviderKeySurroundings = { vault, database, organizationId, clock, random }
  return new Hono()
    .get('/', async (c) => c.json(await listProviderKeys(surroundings, readQuery(c, pageQuery))))
    .post('/', async (c) =>
      c.json(await addProviderKey(surroundings, await readBody(c, addProviderKeyWire)), 201),
    )
    .get('/:name', async (c) => c.json(await showProviderKey(surroundings, c.req.param('name'))))
    .patch('/:name', async (c) => {
      const change = await readBody(c, changeProviderKeyWire)
      return c.json(await changeProviderKey(surroundings, c.req.param('name'), change))
    })
    .post('/:name/rotate', async (c) => {
      const { secret } = await readBody(c, rotateProviderKeyWire)
      return c.json(await rotateProviderKey(surroundings, c.req.param('name'), new Secret(secret)))
    })
    .post('/:name/test', async (c) => {
      await readBody(c, noInput)
      const bound = await vault.providerKeys.bound(organizationId, c.req.param('name'))
      if (bound === undefined) throw noSuchProviderKey()
      return c.json(await testProviderKey(bound))
    })
    .delete('/:name', async (c) => {
      const { revokeKeys } = readQuery(c, removeProviderKeyQuery)
      return c.json(await removeProviderKey(surroundings, c.req.param('name'), revokeKeys))
    })
}
