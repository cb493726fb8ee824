import { pricesQuery, setPricesWire } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody, readQuery } from '../input.ts'
import { listPrices, type PriceSurroundings, removePrice, setPrices } from './prices.ts'

/** `/api/prices`: what models cost here. */
export function priceRoutes({ vault, database, prices, clock }: AdminDependencies): Hono {
  const surroundings = (): PriceSurroundings => ({
    database,
    changes: vault.changes,
    prices,
    organizationId: vault.defaultOrganizationId,
    now: clock.now(),
  })
  return new Hono()
    .get('/', (c) => c.json(listPrices(surroundings(), readQuery(c, pricesQuery))))
    .put('/', async (c) => c.json(await setPrices(surroundings(), await readBody(c, setPricesWire))))
    .delete('/:provider/:model', async (c) => {
      const { provider, model } = c.req.param()
      return c.json(await removePrice(surroundings(), { provider, model }))
    })
}
