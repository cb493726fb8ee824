import type { BySize, Price, TierRates, TokenRates } from './price.ts'
import { everyName, type PriceTable } from './price-table.ts'

/** What another table would change for one name of a model. */
export type PriceChange =
  | { readonly kind: 'added'; readonly provider: string; readonly model: string }
  | { readonly kind: 'removed'; readonly provider: string; readonly model: string }
  | {
      readonly kind: 'changed'
      readonly provider: string
      readonly model: string
      readonly fields: readonly FieldChange[]
    }

/** A figure that differs. Null: not stated there. */
export interface FieldChange {
  /** `standard.input`, `limits.contextWindow`, `standard.long.output` … */
  readonly field: string
  readonly before: bigint | null
  readonly after: bigint | null
}

/** What would change at `at` (milliseconds since the epoch) if `after` took the place of `before`; nothing is changed. */
export function diffPrices(before: PriceTable, after: PriceTable, at: number): readonly PriceChange[] {
  const old = inForce(before, at)
  const now = inForce(after, at)
  const changes: PriceChange[] = []
  for (const [key, listed] of now) {
    const was = old.get(key)
    const { provider, model } = listed
    if (was === undefined) changes.push({ kind: 'added', provider, model })
    else {
      // An alias follows its model, which stands in the list itself.
      const isAlias = listed.price.model !== model && was.price.model === listed.price.model
      const fields = isAlias ? [] : changedFields(flatten(was.price), flatten(listed.price))
      if (fields.length > 0) changes.push({ kind: 'changed', provider, model, fields })
    }
  }
  for (const [key, { provider, model }] of old)
    if (!now.has(key)) changes.push({ kind: 'removed', provider, model })
  return changes
}

interface Listed {
  readonly provider: string
  readonly model: string
  readonly price: Price
}

function inForce(table: PriceTable, at: number): ReadonlyMap<string, Listed> {
  const listed = new Map<string, Listed>()
  for (const [provider, model] of table) {
    const found = table.find(provider, model, at)
    if (found.kind === 'priced') listed.set(`${provider}/${model}`, { provider, model, price: found.price })
  }
  const fallback = table.find(everyName, everyName, at)
  if (fallback.kind === 'fallback')
    listed.set(everyName, { provider: everyName, model: everyName, price: fallback.price })
  return listed
}

function changedFields(
  before: ReadonlyMap<string, bigint | null>,
  after: ReadonlyMap<string, bigint | null>,
): readonly FieldChange[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((field) => ({ field, before: before.get(field) ?? null, after: after.get(field) ?? null }))
    .filter((change) => change.before !== change.after)
}

/** Every figure that a price states, by its path. Pico-dollars, tokens or seconds. */
export function flatten(price: Price): ReadonlyMap<string, bigint | null> {
  const { perImage, ...units } = price.units
  const { imageOutputTokens, searches, ...limits } = price.limits
  return new Map([
    ...named('limits', limits),
    ...named('standard', units),
    ...sized('limits.imageOutputTokens', imageOutputTokens),
    ...sized('standard.perImage', perImage),
    ...Object.entries(price.tiers).flatMap(([tier, rates]) => tierFields(tier, rates)),
  ])
}

/** The rate that holds for a kind of token which has none of its own. */
const inheritedFrom: Readonly<Record<string, keyof TokenRates>> = {
  cachedInput: 'input',
  cacheWrite: 'input',
  cacheWriteLong: 'cacheWrite',
  cachedAudioInput: 'audioInput',
  imageInput: 'input',
  cachedImageInput: 'cachedInput',
}

/** The rates that say something: neither null, nor what another kind's rate says already. */
export function listedRates(rates: TokenRates): Readonly<Record<string, bigint>> {
  const listed: Record<string, bigint> = {}
  const all: Readonly<Record<string, bigint | null>> = { ...rates }
  for (const [kind, rate] of Object.entries(all)) {
    const base = inheritedFrom[kind]
    if (rate !== null && (base === undefined || rate !== rates[base])) listed[kind] = rate
  }
  return listed
}

type Figures = readonly (readonly [field: string, figure: bigint | null])[]

function tierFields(tier: string, { short, long }: TierRates): Figures {
  const figures = named(tier, listedRates(short))
  if (long === null) return figures
  return [...figures, [`${tier}.long.above`, long.above], ...named(`${tier}.long`, listedRates(long.rates))]
}

function named(prefix: string, figures: Readonly<Record<string, bigint | null>>): Figures {
  return Object.entries(figures).map(([name, figure]) => [`${prefix}.${name}`, figure] as const)
}

function sized(prefix: string, table: BySize | null): Figures {
  if (table === null) return []
  return [...table].flatMap(([quality, row]) =>
    [...row].map(([size, figure]) => [`${prefix}.${quality}.${size}`, figure] as const),
  )
}
