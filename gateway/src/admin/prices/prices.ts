import {
  type ChangedPricesWire,
  type Database,
  LatchkeyError,
  type OrganizationId,
  type Page,
  type PriceEntry,
  type PricesQuery,
  type PriceWire,
  type setPricesWire,
} from '@latchkey/shared'
import type { ChangeFeed } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { byName, changesToWire, effectivePrices } from '../../pricing/effective-prices.ts'
import type { PriceBook } from '../../pricing/price-book.ts'
import { diffPrices } from '../../pricing/price-diff.ts'
import {
  deleteOverride,
  lockOverrides,
  type OverrideName,
  type PriceOverride,
  readOverrides,
  writeOverride,
} from '../../pricing/price-overrides.ts'
import { everyName } from '../../pricing/price-table.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'

export interface PriceSurroundings {
  readonly database: Kysely<Database>
  readonly changes: ChangeFeed
  readonly prices: PriceBook
  readonly organizationId: OrganizationId
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** One page of what models cost now, by provider, then model. */
export function listPrices({ prices, now }: PriceSurroundings, query: PricesQuery): Page<PriceWire> {
  const filter = { provider: query.provider ?? null, model: query.model ?? null }
  const after = query.cursor === undefined ? null : readPlace(query.cursor)
  const rest = effectivePrices(prices.current, filter, now).filter(
    (price) => after === null || byName(price, after) > 0,
  )
  const data = rest.slice(0, query.limit)
  const last = rest.length > data.length ? data.at(-1) : undefined
  return { data, nextCursor: last === undefined ? null : encodeCursor([last.provider, last.model]) }
}

function readPlace(cursor: string): OverrideName {
  const [provider = '', model = ''] = decodeCursor(cursor, 2)
  return { provider, model }
}

interface NewPrice extends OverrideName {
  readonly entry: PriceEntry
}

/** Sets prices, and says what that changes now; a dry run only says so. In force here once it answers. */
export async function setPrices(
  surroundings: PriceSurroundings,
  { models, fallback, dryRun }: z.output<typeof setPricesWire>,
): Promise<ChangedPricesWire> {
  const { database, changes, prices, organizationId, now } = surroundings
  const set: NewPrice[] = Object.entries(models).flatMap(([provider, entries]) =>
    Object.entries(entries).map(([model, entry]) => ({ provider, model, entry })),
  )
  if (fallback !== undefined) set.push({ provider: everyName, model: everyName, entry: fallback })
  const at = new Date(now)
  const differences = (before: readonly PriceOverride[]) =>
    difference(surroundings, before, [
      ...before.filter((old) => !set.some((one) => isSame(old, one))),
      ...set.map((one) => ({ ...one, revision: 1, updatedAt: at })),
    ])
  if (dryRun) return { dryRun, changes: differences(await readOverrides(database, organizationId)) }
  const made = await changes.transact(async (trx, bump) => {
    await lockOverrides(trx)
    const before = await readOverrides(trx, organizationId)
    for (const one of set) await writeOverride(trx, organizationId, one, one.entry, at)
    await bump('prices')
    return differences(before)
  })
  await prices.refresh()
  return { dryRun, changes: made }
}

/** Removes what was set: the file's or the built-in price holds again. Throws `not_found`. */
export async function removePrice(
  surroundings: PriceSurroundings,
  name: OverrideName,
): Promise<ChangedPricesWire> {
  const { changes, prices, organizationId } = surroundings
  const made = await changes.transact(async (trx, bump) => {
    await lockOverrides(trx)
    const before = await readOverrides(trx, organizationId)
    if (!(await deleteOverride(trx, organizationId, name))) {
      throw new LatchkeyError('not_found', {
        message: 'No price of this provider and model was set by this API.',
        param: 'model',
      })
    }
    await bump('prices')
    const after = before.filter((old) => !isSame(old, name))
    return difference(surroundings, before, after)
  })
  await prices.refresh()
  return { dryRun: false, changes: made }
}

function difference(
  { prices, now }: PriceSurroundings,
  before: readonly PriceOverride[],
  after: readonly PriceOverride[],
): ChangedPricesWire['changes'] {
  return changesToWire(diffPrices(prices.tableWith(before), prices.tableWith(after), now))
}

function isSame(left: OverrideName, right: OverrideName): boolean {
  return left.provider === right.provider && left.model === right.model
}
