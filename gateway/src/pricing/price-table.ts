import type { Price } from './price.ts'
import { invalidPrices, type PriceFile } from './price-file.ts'
import { resolvePrices } from './resolve-price.ts'

/** What is known of a model's price. */
export type PriceLookup =
  | { readonly kind: 'priced'; readonly price: Price }
  /** Listed nowhere; what the operator set for such models. */
  | { readonly kind: 'fallback'; readonly price: Price }
  | { readonly kind: 'unpriced' }

/** What stands for the provider, and the model, of what is listed nowhere. */
export const everyName = '*'

type PricesOfModel = readonly Price[]

const unpriced: PriceLookup = Object.freeze({ kind: 'unpriced' })
const noTools: ToolPrices = new Map()

/** What one call of a hosted tool costs, in pico-dollars, by the tool. */
export type ToolPrices = ReadonlyMap<string, bigint>

/** Every price, by provider, model and moment. Never changes; an operator's new prices are a new table. */
export class PriceTable {
  /** The version of the built-in prices, and of what was laid over them. */
  readonly version: string
  readonly #models: ReadonlyMap<string, ReadonlyMap<string, PricesOfModel>>
  readonly #tools: ReadonlyMap<string, ToolPrices>
  readonly #inherit: ReadonlyMap<string, string>
  readonly #fallback: PricesOfModel | null

  /**
   * Lays each file over those before it: a model that a later one lists is wholly its own, and the
   * model's aliases follow it. Throws `invalid_config` for an alias that leads nowhere.
   */
  constructor(files: readonly PriceFile[]) {
    this.version = versionOf(files)
    this.#models = mergeModels(files)
    this.#tools = mergeTools(files)
    this.#inherit = mergeInherit(files)
    this.#fallback = mergeFallback(files)
  }

  /** What `model` of `provider` costs at `at` (milliseconds since the epoch). */
  find(provider: string, model: string, at: number): PriceLookup {
    const price = inForce(this.#periods(provider, model), at)
    if (price !== null) return { kind: 'priced', price }
    const fallback = inForce(this.#fallback, at)
    return fallback === null ? unpriced : { kind: 'fallback', price: fallback }
  }

  /** What calls of the provider's hosted tools cost. */
  toolPrices(provider: string): ToolPrices {
    return this.#tools.get(provider) ?? this.#tools.get(this.#inherit.get(provider) ?? '') ?? noTools
  }

  /** Whether the provider is OpenAI, or charges what OpenAI charges for what OpenAI's API offers. */
  isOpenai(provider: string): boolean {
    return provider === 'openai' || this.#inherit.get(provider) === 'openai'
  }

  /** Every listed name with its prices, latest first. Aliases stand under their own names. */
  *[Symbol.iterator](): Generator<readonly [provider: string, model: string, prices: PricesOfModel]> {
    for (const [provider, models] of this.#models)
      for (const [model, prices] of models) yield [provider, model, prices]
  }

  #periods(provider: string, model: string): PricesOfModel | null {
    const own = this.#models.get(provider)?.get(listedName(model))
    if (own !== undefined) return own
    const other = this.#inherit.get(provider)
    return (other === undefined ? undefined : this.#models.get(other)?.get(listedName(model))) ?? null
  }
}

/**
 * A fine-tuned model is named `ft:<base>:<organization>:<suffix>:<id>` and priced by its base, as `ft:<base>`.
 * No other part of a name is ever guessed at.
 * Source: https://platform.openai.com/docs/guides/supervised-fine-tuning
 */
function listedName(model: string): string {
  if (!model.startsWith('ft:')) return model
  const end = model.indexOf(':', 3)
  return end === -1 ? model : model.slice(0, end)
}

/** Of what the API set, each price has a version of its own: the latest stands for all. */
function versionOf(files: readonly PriceFile[]): string {
  const set = files.filter((file) => file.origin === 'api').map((file) => file.version)
  const shipped = files.filter((file) => file.origin !== 'api').map((file) => file.version)
  return [...shipped, ...set.sort().slice(-1)].join('+')
}

function inForce(prices: PricesOfModel | null, at: number): Price | null {
  return prices?.find((price) => price.from === null || price.from <= at) ?? null
}

function mergeModels(files: readonly PriceFile[]): ReadonlyMap<string, ReadonlyMap<string, PricesOfModel>> {
  const merged = new Map<string, Map<string, PricesOfModel>>()
  for (const file of files) {
    for (const [provider, models] of Object.entries(file.models)) {
      const known = merged.get(provider) ?? new Map<string, PricesOfModel>()
      for (const [model, entry] of Object.entries(models))
        known.set(
          model,
          resolvePrices({ provider, model, version: file.version, origin: file.origin }, entry),
        )
      merged.set(provider, known)
    }
  }
  const listed = new Map([...merged].map(([provider, models]) => [provider, new Set(models.keys())]))
  // Only now: an alias follows its model, whichever file has the last word on that.
  for (const file of files) {
    for (const [provider, aliases] of Object.entries(file.aliases)) {
      for (const [alias, model] of Object.entries(aliases)) {
        const prices = listed.get(provider)?.has(model) ? merged.get(provider)?.get(model) : undefined
        if (prices === undefined)
          throw invalidPrices(file.version, `aliases.${provider}.${alias}`, `${model} is not listed`)
        if (!listed.get(provider)?.has(alias)) merged.get(provider)?.set(alias, prices)
      }
    }
  }
  return merged
}

function mergeFallback(files: readonly PriceFile[]): PricesOfModel | null {
  const last = files.findLast((file) => file.fallback !== undefined)
  if (last?.fallback === undefined) return null
  const { version, origin, fallback } = last
  return resolvePrices({ provider: everyName, model: everyName, version, origin }, fallback)
}

function mergeTools(files: readonly PriceFile[]): ReadonlyMap<string, ToolPrices> {
  const merged = new Map<string, Map<string, bigint>>()
  for (const file of files) {
    for (const [provider, { source, ...prices }] of Object.entries(file.tools)) {
      const tools = merged.get(provider) ?? new Map<string, bigint>()
      for (const [tool, price] of Object.entries(prices)) tools.set(tool, BigInt(price))
      merged.set(provider, tools)
    }
  }
  return merged
}

function mergeInherit(files: readonly PriceFile[]): ReadonlyMap<string, string> {
  return new Map(files.flatMap((file) => Object.entries(file.inherit)))
}
