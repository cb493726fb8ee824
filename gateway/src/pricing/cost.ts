import { type NanoUsd, nanoUsdFromPico } from '@latchkey/shared'
import { greatest, listedFor } from './by-size.ts'
import { type Consumption, inputTokens, type TokenCounts } from './consumption.ts'
import { type BySize, type Price, ratesAt, serviceTierOf, type TierRates, type TokenRates } from './price.ts'
import type { ToolPrices } from './price-table.ts'
import { dearer } from './resolve-price.ts'

/** What is billed by the piece, and stands in the request or the answer's size rather than in its usage. */
export interface Pieces {
  /** Images that were made, where the model bills by the image. */
  readonly images: { readonly count: number; readonly quality: string; readonly size: string } | null
  /** Characters that were spoken, as Unicode code points. */
  readonly characters: number
}

export const noPieces: Pieces = Object.freeze({ images: null, characters: 0 })

/** The prices that a request is charged by. */
export interface CostPrices {
  readonly price: Price
  readonly tools: ToolPrices
  /** Of the model that the image tool uses; null where none is known, or none was used. */
  readonly imageModel: Price | null
}

/** What a request did cost. */
export interface Cost {
  readonly nanoUsd: NanoUsd
  /**
   * What was used and has no price here, by name: `output`, `service_tier`, `web_search`. It is charged at the
   * dearest of the model's rates, or not at all, so the cost is an estimate. Empty: it is exact.
   */
  readonly unpriced: readonly string[]
}

/** What the request cost, to the pico-dollar, rounded up to a nano-dollar once, at the end. */
export function costOf(prices: CostPrices, used: Consumption, pieces: Pieces = noPieces): Cost {
  const { price } = prices
  const bill = new Bill()
  bill.tokens(tierRates(price, used.serviceTier, bill), used.tokens)
  bill.pico += price.units.perRequest ?? 0n
  if (used.audioMs > 0) bill.minutes(price, used.audioMs)
  if (pieces.images !== null) bill.images(price.units.perImage, pieces.images)
  if (price.units.perCharacter !== null) bill.pico += BigInt(pieces.characters) * price.units.perCharacter
  for (const [tool, calls] of used.toolCalls) bill.calls(prices.tools, tool, calls)
  if (used.imageTool !== null) {
    if (prices.imageModel === null) bill.cannotPrice('image_generation')
    else bill.tokens(prices.imageModel.tiers.standard, used.imageTool)
  }
  return { nanoUsd: nanoUsdFromPico(bill.pico), unpriced: bill.unpriced }
}

function tierRates(price: Price, answered: string | null, bill: Bill): TierRates {
  const tier = serviceTierOf(answered)
  const rates = tier === null ? undefined : price.tiers[tier]
  if (rates === undefined) bill.cannotPrice('service_tier')
  return rates ?? price.tiers.standard
}

const none: readonly string[] = Object.freeze([])
const msPerMinute = 60_000n

/** A sum in pico-dollars, with a note of what it could not price. */
class Bill {
  pico = 0n
  /** Each name once. */
  unpriced: readonly string[] = none

  cannotPrice(name: string): void {
    if (!this.unpriced.includes(name)) this.unpriced = [...this.unpriced, name]
  }

  tokens(tier: TierRates, tokens: TokenCounts): void {
    const rates = ratesAt(tier, BigInt(inputTokens(tokens)))
    this.#add('input', tokens.text, rates.input, rates)
    this.#add('cached_input', tokens.cachedText, rates.cachedInput, rates)
    this.#add('cache_write', tokens.cacheWrite, rates.cacheWrite, rates)
    this.#add('cache_write', tokens.cacheWriteLong, rates.cacheWriteLong, rates)
    this.#add('audio_input', tokens.audio, rates.audioInput, rates)
    this.#add('audio_input', tokens.cachedAudio, rates.cachedAudioInput, rates)
    this.#add('image_input', tokens.image, rates.imageInput, rates)
    this.#add('image_input', tokens.cachedImage, rates.cachedImageInput, rates)
    // A model that only speaks, or only draws, has one price for all that it puts out.
    this.#add('output', tokens.outputText, rates.output ?? rates.imageOutput ?? rates.audioOutput, rates)
    this.#add('audio_output', tokens.outputAudio, rates.audioOutput, rates)
    this.#add('image_output', tokens.outputImage, rates.imageOutput, rates)
  }

  /** Whatever is left of a pico-dollar is rounded up; rounding the sum up again changes nothing. */
  minutes({ units }: Price, ms: number): void {
    if (units.perMinute === null) this.cannotPrice('audio_minutes')
    else this.pico += (BigInt(ms) * units.perMinute + msPerMinute - 1n) / msPerMinute
  }

  images(perImage: BySize | null, { count, quality, size }: NonNullable<Pieces['images']>): void {
    if (perImage === null) return
    const listed = listedFor(perImage, quality, size)
    const most = greatest(listed)
    if (most === null || listed.some((price) => price !== most)) this.cannotPrice('image')
    this.pico += BigInt(count) * (most ?? greatest(listedFor(perImage, null, null)) ?? 0n)
  }

  calls(tools: ToolPrices, tool: string, calls: number): void {
    const price = tools.get(tool)
    if (price === undefined) this.cannotPrice(tool)
    else this.pico += BigInt(calls) * price
  }

  #add(kind: string, count: number, rate: bigint | null, rates: TokenRates): void {
    if (count === 0) return
    if (rate === null) this.cannotPrice(kind)
    this.pico += BigInt(count) * (rate ?? dearestRate(rates))
  }
}

function dearestRate(rates: TokenRates): bigint {
  return Object.values(rates).reduce<bigint | null>(dearer, null) ?? 0n
}
