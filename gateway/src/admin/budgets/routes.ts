import { budgetsQuery, changeBudgetWire, createBudgetWire, removeBudgetQuery } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody, readQuery } from '../input.ts'
import { noInput } from '../no-input.ts'
import {
  addBudget,
  type BudgetSurroundings,
  editBudget,
  listBudgets,
  parseBudgetId,
  releaseBudget,
  removeBudget,
  showBudget,
} from './budgets.ts'

/** `/api/budgets`: what keys, groups, the organization and provider keys may spend. */
export function budgetRoutes(deps: AdminDependencies): Hono {
  const { vault, database, longestRequestMs, clock, random } = deps
  const surroundings: BudgetSurroundings = {
    vault,
    database,
    organizationId: vault.defaultOrganizationId,
    longestRequestMs,
    clock,
    random,
  }
  return new Hono()
    .get('/', async (c) => c.json(await listBudgets(surroundings, readQuery(c, budgetsQuery))))
    .post('/', async (c) => c.json(await addBudget(surroundings, await readBody(c, createBudgetWire)), 201))
    .get('/:id', async (c) => c.json(await showBudget(surroundings, parseBudgetId(c.req.param('id')))))
    .patch('/:id', async (c) => {
      const id = parseBudgetId(c.req.param('id'))
      return c.json(await editBudget(surroundings, id, await readBody(c, changeBudgetWire)))
    })
    .delete('/:id', async (c) => {
      const id = parseBudgetId(c.req.param('id'))
      readQuery(c, removeBudgetQuery)
      return c.json(await removeBudget(surroundings, id))
    })
    .post('/:id/release', async (c) => {
      const id = parseBudgetId(c.req.param('id'))
      await readBody(c, noInput)
      return c.json(await releaseBudget(surroundings, id))
    })
}
