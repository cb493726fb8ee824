import type { PriceChangeWire, PriceWire } from '@latchkey/shared'
import { flatten, type PriceChange } from './price-diff.ts'
import { everyName, type PriceTable } from './price-table.ts'

/** Which prices are asked for; null: all. */
export interface PriceFilter {
  readonly provider: string | null
  /** As in a request, so an alias or a fine-tuned model too. */
  readonly model: string | null
}

/**
 * What models cost at `at` (milliseconds since the epoch), by provider, then model. The fallback answers where
 * both names were asked for; in a list of many it stands as `*`.
 */
export function effectivePrices(
  prices: PriceTable,
  { provider, model }: PriceFilter,
  at: number,
): readonly PriceWire[] {
  const found: PriceWire[] = []
  const add = (provider: string, model: string) => {
    const wire = effectivePrice(prices, provider, model, at)
    if (wire !== null) found.push(wire)
  }
  if (model !== null && provider !== null) add(provider, model)
  else if (model !== null) {
    for (const name of providersOf(prices)) add(name, model)
    return found.filter(({ kind }) => kind === 'priced')
  } else {
    for (const [listedAt, name] of prices) {
      if (provider === null || provider === listedAt) add(listedAt, name)
    }
    if (provider === null || provider === everyName) add(everyName, everyName)
  }
  return found.sort(byName)
}

function providersOf(prices: PriceTable): readonly string[] {
  return [...new Set([...prices].map(([provider]) => provider))].sort()
}

function effectivePrice(prices: PriceTable, provider: string, model: string, at: number): PriceWire | null {
  const found = prices.find(provider, model, at)
  if (found.kind === 'unpriced') return null
  const { price } = found
  return {
    provider,
    model,
    listedAs: { provider: price.provider, model: price.model },
    kind: found.kind,
    origin: price.origin,
    version: price.version,
    source: price.source,
    from: price.from === null ? null : new Date(price.from).toISOString(),
    searches: price.limits.searches,
    figures: Object.fromEntries(
      [...flatten(price)].flatMap(([field, figure]) => (figure === null ? [] : [[field, Number(figure)]])),
    ),
  }
}

/** Sorts by provider, then model, by code units. */
export function byName(
  left: { readonly provider: string; readonly model: string },
  right: { readonly provider: string; readonly model: string },
): number {
  if (left.provider !== right.provider) return left.provider < right.provider ? -1 : 1
  return left.model === right.model ? 0 : left.model < right.model ? -1 : 1
}

/** Changes as the API tells them. Figures are far below 2^53, where numbers stop being exact. */
export function changesToWire(changes: readonly PriceChange[]): PriceChangeWire[] {
  return changes.map((change) =>
    change.kind === 'changed'
      ? {
          ...change,
          fields: change.fields.map(({ field, before, after }) => ({
            field,
            before: before === null ? null : Number(before),
            after: after === null ? null : Number(after),
          })),
        }
      : change,
  )
}
