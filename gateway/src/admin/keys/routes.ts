import {
  createProxyKeyWire,
  LatchkeyError,
  type ProxyKeyId,
  proxyKeysQuery,
  rotateProxyKeyWire,
} from '@latchkey/shared'
import { type Context, Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody, readQuery } from '../input.ts'
import { noInput } from '../no-input.ts'
import { parseProxyKeyId } from '../proxy-key-id.ts'
import { changeKey, createKey, type KeySurroundings, listKeys, rotateKey, showKey } from './keys.ts'

/** `/api/keys`: proxy keys. */
export function keyRoutes({ vault, clock }: AdminDependencies): Hono {
  const surroundings = (): KeySurroundings => ({
    vault,
    organizationId: vault.defaultOrganizationId,
    now: clock.now(),
  })
  const app = new Hono()
    .get('/', async (c) => c.json(await listKeys(surroundings(), readQuery(c, proxyKeysQuery))))
    .post('/', async (c) =>
      c.json(await createKey(surroundings(), await readBody(c, createProxyKeyWire)), 201),
    )
    .get('/:id', async (c) => c.json(await showKey(surroundings(), readId(c))))
    .post('/:id/rotate', async (c) =>
      c.json(await rotateKey(surroundings(), readId(c), await readBody(c, rotateProxyKeyWire))),
    )
  for (const change of ['pause', 'resume', 'revoke'] as const) {
    app.post(`/:id/${change}`, async (c) => {
      await readBody(c, noInput)
      return c.json(await changeKey(surroundings(), readId(c), change))
    })
  }
  return app
}

function readId(c: Context): ProxyKeyId {
  const id = parseProxyKeyId(c.req.param('id') ?? '')
  if (id !== null) return id
  throw new LatchkeyError('not_found', { message: 'There is no proxy key of this id.', param: 'id' })
}
