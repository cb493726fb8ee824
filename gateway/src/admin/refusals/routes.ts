import { pageQuery } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readQuery } from '../input.ts'
import { listRefusals } from './refusals.ts'

/** `/api/refusals`: how often requests without a known key were refused. */
export function refusalRoutes({ database }: AdminDependencies): Hono {
  return new Hono().get('/', async (c) => c.json(await listRefusals(database, readQuery(c, pageQuery))))
}
