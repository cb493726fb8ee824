import {
  addProviderKeyWire,
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
  listProviderKeys,
  noSuchProviderKey,
  removeProviderKey,
  rotateProviderKey,
  showProviderKey,
} from './provider-keys.ts'

/** `/api/provider-keys`: the secrets of providers, none of which is ever given back. */
export function providerKeyRoutes({ vault, testProviderKey }: AdminDependencies): Hono {
  const organizationId = vault.defaultOrganizationId
  return new Hono()
    .get('/', async (c) => c.json(await listProviderKeys(vault, organizationId, readQuery(c, pageQuery))))
    .post('/', async (c) =>
      c.json(await addProviderKey(vault, organizationId, await readBody(c, addProviderKeyWire)), 201),
    )
    .get('/:name', async (c) => c.json(await showProviderKey(vault, organizationId, c.req.param('name'))))
    .post('/:name/rotate', async (c) => {
      const { secret } = await readBody(c, rotateProviderKeyWire)
      return c.json(await rotateProviderKey(vault, organizationId, c.req.param('name'), new Secret(secret)))
    })
    .post('/:name/test', async (c) => {
      await readBody(c, noInput)
      const bound = await vault.providerKeys.bound(organizationId, c.req.param('name'))
      if (bound === undefined) throw noSuchProviderKey()
      return c.json(await testProviderKey(bound))
    })
    .delete('/:name', async (c) => {
      const { revokeKeys } = readQuery(c, removeProviderKeyQuery)
      return c.json(await removeProviderKey(vault, organizationId, c.req.param('name'), revokeKeys))
    })
}
