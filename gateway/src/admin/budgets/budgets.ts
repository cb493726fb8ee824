import {
  type BudgetId,
  type BudgetsQuery,
  type BudgetWire,
  type Clock,
  type changeBudgetWire,
  type createBudgetWire,
  type Database,
  formatUsd,
  isUuid,
  LatchkeyError,
  type NanoUsd,
  nanoUsd,
  type OrganizationId,
  type Page,
  parseUsd,
  type RandomBytes,
  type ReleasedBudgetWire,
  type RemovedBudgetWire,
  uuidv7,
} from '@latchkey/shared'
import type { Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { changeBudget, mostLimit } from '../../budget/change-budget.ts'
import { createBudget } from '../../budget/create-budget.ts'
import { queryableOf } from '../../budget/queryable-of.ts'
import { type BudgetFigures, readBudgets } from '../../budget/read-budgets.ts'
import { releaseLeases } from '../../budget/release.ts'
import { defaultThresholds } from '../../budget/set-budget.ts'
import { decodeCursor, encodeCursor, invalidCursor } from '../cursor.ts'
import { budgetWireOf } from './budget-wire.ts'
import { findScope } from './find-scope.ts'
import { readUnsettled } from './queries.ts'

/** What every operation on budgets needs. */
export interface BudgetSurroundings {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  /** After so long, no process still works on a request: what was left behind may be released. Milliseconds. */
  readonly longestRequestMs: number
  readonly clock: Clock
  readonly random: RandomBytes
}

/** One page of the budgets in the order of their creation; with `scope`, of those of a kind or of one scope. */
export async function listBudgets(
  { database, organizationId }: BudgetSurroundings,
  { limit, cursor, scope, scopeId }: BudgetsQuery,
): Promise<Page<BudgetWire>> {
  if (scopeId !== undefined && scope === undefined)
    throw new LatchkeyError('invalid_request', { message: 'scopeId needs scope beside it.', param: 'scope' })
  const found = await readBudgets(database, {
    kind: 'page',
    organizationId,
    scopeKind: scope,
    scopeId:
      scope === undefined || scopeId === undefined
        ? undefined
        : await findScope(database, organizationId, scope, scopeId),
    after: cursor === undefined ? null : parseCursor(cursor),
    limit: limit + 1,
  })
  const page = found.slice(0, limit)
  const last = found.length > limit ? page.at(-1) : undefined
  return { data: page.map(budgetWireOf), nextCursor: last === undefined ? null : encodeCursor([last.id]) }
}

/** Throws `not_found`. */
export async function showBudget(surroundings: BudgetSurroundings, id: BudgetId): Promise<BudgetWire> {
  return budgetWireOf(await find(surroundings, id))
}

/** Limits what a scope may spend. Throws `budget_exists` and `invalid_request`. */
export async function addBudget(
  surroundings: BudgetSurroundings,
  input: z.output<typeof createBudgetWire>,
): Promise<BudgetWire> {
  const { vault, database, organizationId, clock, random } = surroundings
  const { scope, period, thresholds } = input
  const scopeId = await findScope(database, organizationId, scope, input.scopeId)
  const id = uuidv7<BudgetId>(clock, random)
  const limit = amountOf(input.limitUsd, 'limitUsd')
  const created = await vault.changes.transact(async (trx, bump) => {
    const result = await createBudget(queryableOf(trx), {
      id,
      organizationId,
      scopeKind: scope,
      scopeId,
      period,
      limit,
      thresholds: thresholds ?? defaultThresholds,
      createdAt: new Date(clock.now()),
    })
    // Until then, keys that are cached pay without it.
    if (result.kind === 'created') await bump('budget')
    return result
  })
  switch (created.kind) {
    case 'created':
      return showBudget(surroundings, created.id)
    case 'taken':
      throw new LatchkeyError('budget_exists', { param: 'period' })
    default:
      return created satisfies never
  }
}

/** Raises, lowers, tops up, pauses or resumes a budget. Throws `not_found`, `conflict` and `invalid_request`. */
export async function editBudget(
  surroundings: BudgetSurroundings,
  id: BudgetId,
  input: z.output<typeof changeBudgetWire>,
): Promise<BudgetWire> {
  const { database, clock } = surroundings
  const { status, thresholds, revision } = input
  const before = await find(surroundings, id)
  const limit = limitChange(input)
  if (limit !== undefined && 'by' in limit && before.limit + limit.by > mostLimit)
    throw new LatchkeyError('invalid_request', {
      message: `addUsd must not raise the limit above ${formatUsd(mostLimit)}.`,
      param: 'addUsd',
    })
  if (limit !== undefined || status !== undefined || thresholds !== undefined) {
    const changed = await changeBudget(queryableOf(database), {
      budget: id,
      ...(limit === undefined ? {} : { limit }),
      ...(status === undefined ? {} : { status }),
      ...(thresholds === undefined ? {} : { thresholds }),
      ...(revision === undefined ? {} : { revision }),
      at: new Date(clock.now()),
    })
    if (changed.kind === 'conflict') throw new LatchkeyError('conflict')
  }
  return showBudget(surroundings, id)
}

/**
 * Takes a budget away: its scope may spend what other budgets allow, in every process within the bound of a
 * revocation. What it has counted is kept, and counts again where the same budget is made anew. Throws `not_found`.
 */
export async function removeBudget(
  surroundings: BudgetSurroundings,
  id: BudgetId,
): Promise<RemovedBudgetWire> {
  const { vault, clock } = surroundings
  await find(surroundings, id)
  await vault.changes.transact(async (trx, bump) => {
    await changeBudget(queryableOf(trx), { budget: id, status: 'removed', at: new Date(clock.now()) })
    await bump('budget')
  })
  return { id }
}

/** Gives back what dead processes left behind, as far as no record of theirs can come any more. Throws `not_found`. */
export async function releaseBudget(
  surroundings: BudgetSurroundings,
  id: BudgetId,
): Promise<ReleasedBudgetWire> {
  const { database, longestRequestMs } = surroundings
  await find(surroundings, id)
  const released = await releaseLeases(queryableOf(database), id, longestRequestMs)
  const { waiting, releasableAt } = await readUnsettled(database, id, longestRequestMs)
  return {
    releasedUsd: formatUsd(nanoUsd(released.reduce((sum, { amount }) => sum + amount, 0n))),
    leases: released.length,
    waitingUsd: formatUsd(waiting),
    releasableAt: releasableAt?.toISOString() ?? null,
    budget: await showBudget(surroundings, id),
  }
}

/** The id that `text` spells. Throws `not_found`. */
export function parseBudgetId(text: string): BudgetId {
  if (isUuid(text)) return text as BudgetId
  throw noSuchBudget()
}

async function find({ database, organizationId }: BudgetSurroundings, id: BudgetId): Promise<BudgetFigures> {
  const [found] = await readBudgets(database, { kind: 'ids', organizationId, ids: [id] })
  if (found === undefined) throw noSuchBudget()
  return found
}

function limitChange({
  limitUsd,
  addUsd,
}: z.output<typeof changeBudgetWire>): { readonly to: NanoUsd } | { readonly by: NanoUsd } | undefined {
  if (limitUsd !== undefined) return { to: amountOf(limitUsd, 'limitUsd') }
  if (addUsd === undefined) return undefined
  const less = addUsd.startsWith('-')
  const amount = amountOf(less ? addUsd.slice(1) : addUsd, 'addUsd')
  return { by: less ? nanoUsd(-amount) : amount }
}

/** An amount that the schema has let through. */
function amountOf(text: string, param: string): NanoUsd {
  const amount = parseUsd(text)
  if (amount === null) throw new LatchkeyError('invalid_request', { param })
  return amount
}

function parseCursor(cursor: string): BudgetId {
  const [id = ''] = decodeCursor(cursor, 1)
  if (isUuid(id)) return id as BudgetId
  throw invalidCursor()
}

function noSuchBudget(): LatchkeyError {
  return new LatchkeyError('not_found', { message: 'There is no budget of this id.', param: 'id' })
}
