import {
  changeProxyKeyWire,
  createProxyKeysWire,
  createProxyKeyWire,
  LatchkeyError,
  type ProxyKeyId,
  parseProxyKeyId,
  proxyKeysQuery,
  revokeProxyKeyWire,
  rotateProxyKeyWire,
} from '@latchkey/shared'
import { type Context, Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody, readQuery } from '../input.ts'
import { noInput } from '../no-input.ts'
import { createKey, createKeys } from './create.ts'
import {
  changeKey,
  type KeySurroundings,
  listKeys,
  revokeAllKeys,
  revokeKey,
  rotateKey,
  showKey,
  switchKey,
} from './keys.ts'

/** `/api/keys`: proxy keys. */
export function keyRoutes({ vault, database, clock, random }: AdminDependencies): Hono {
  const surroundings: KeySurroundings = {
    vault,
    database,
    organizationId: vault.defaultOrganizationId,
    clock,
    random,
  }
  const app = new Hono()
    .get('/', async (c) => c.json(await listKeys(surroundings, readQuery(c, proxyKeysQuery))))
    .post('/', async (c) => c.json(await createKey(surroundings, await readBody(c, createProxyKeyWire)), 201))
    .post('/bulk', async (c) =>
      c.json(await createKeys(surroundings, await readBody(c, createProxyKeysWire)), 201),
    )
    .post('/revoke-all', async (c) => {
      await readBody(c, noInput)
      return c.json(await revokeAllKeys(surroundings))
    })
    .get('/:id', async (c) => c.json(await showKey(surroundings, readId(c))))
    .patch('/:id', async (c) =>
      c.json(await changeKey(surroundings, readId(c), await readBody(c, changeProxyKeyWire))),
    )
    .post('/:id/rotate', async (c) =>
      c.json(await rotateKey(surroundings, readId(c), await readBody(c, rotateProxyKeyWire))),
    )
    .post('/:id/revoke', async (c) => {
      const { reason } = await readBody(c, revokeProxyKeyWire)
      return c.json(await revokeKey(surroundings, readId(c), reason === 'compromised'))
    })
  for (const change of ['pause', 'resume'] as const) {
    app.post(`/:id/${change}`, async (c) => {
      await readBody(c, noInput)
      return c.json(await switchKey(surroundings, readId(c), change))
    })
  }
  return app
}

function readId(c: Context): ProxyKeyId {
  const id = parseProxyKeyId(c.req.param('id') ?? '')
  if (id !== null) return id
  throw new LatchkeyError('not_found', { message: 'There is no proxy key of this id.', param: 'id' })
}
