import type { PriceEntry, PriceOrigin, PricePeriod, TierPrices } from '@latchkey/shared'
import type { BySize, Price, TierRates, TokenRates } from './price.ts'
import { serviceTiers } from './price.ts'

/** Whose entry it is, and what records call it. */
export interface Listing {
  readonly provider: string
  readonly model: string
  readonly version: string
  readonly origin: PriceOrigin
}

/** The price of every period of an entry, latest first, with all that follows from it worked out. */
export function resolvePrices(listing: Listing, entry: PriceEntry): readonly Price[] {
  return entry.prices.map((period) => resolve(listing, entry, period)).reverse()
}

function resolve(listing: Listing, entry: PriceEntry, period: PricePeriod): Price {
  const { perRequest, perMinute, perCharacter, perImage, ...tokens } = period.standard
  const standard = tierRates(tokens, null)
  const tiers: { standard: TierRates } & { -readonly [Tier in keyof Price['tiers']]: Price['tiers'][Tier] } =
    {
      standard,
    }
  for (const tier of serviceTiers) {
    const prices = period[tier]
    if (tier !== 'standard' && prices !== undefined) tiers[tier] = tierRates(prices, standard)
  }
  return Object.freeze({
    ...listing,
    source: entry.source,
    from: period.from === undefined ? null : Date.parse(period.from),
    limits: {
      contextWindow: whole(entry.contextWindow),
      maxOutputTokens: whole(entry.maxOutputTokens),
      imageTokens: whole(entry.imageTokens),
      imageFactor: BigInt(entry.imageFactor ?? 1),
      imageOutputTokens: sizes(entry.imageOutputTokens),
      maxAudioSeconds: whole(entry.maxAudioSeconds),
      searches: entry.searches === true,
    },
    units: {
      perRequest: whole(perRequest),
      perMinute: whole(perMinute),
      perCharacter: whole(perCharacter),
      perImage: sizes(perImage),
    },
    tiers,
  })
}

type TokenPrices = Omit<TierPrices, 'long'>

function tierRates({ long, ...prices }: TierPrices, standard: TierRates | null): TierRates {
  const short = tokenRates(prices)
  if (long !== undefined) {
    const { above, ...dearer } = long
    const { input, cachedInput, cacheWrite, cacheWriteLong, output, ...otherKinds } = prices
    return { short, long: { above: BigInt(above), rates: tokenRates({ ...otherKinds, ...dearer }) } }
  }
  // A tier that is not offered for long input is served as the standard one, or not at all.
  if (standard?.long == null) return { short, long: null }
  return { short, long: { above: standard.long.above, rates: dearest(short, standard.long.rates) } }
}

function tokenRates(prices: TokenPrices): TokenRates {
  const input = whole(prices.input)
  const cachedInput = whole(prices.cachedInput) ?? input
  const cacheWrite = whole(prices.cacheWrite) ?? input
  const audioInput = whole(prices.audioInput)
  const listedImageInput = whole(prices.imageInput)
  return Object.freeze({
    input,
    cachedInput,
    cacheWrite,
    cacheWriteLong: whole(prices.cacheWriteLong) ?? cacheWrite,
    output: whole(prices.output),
    audioInput,
    cachedAudioInput: whole(prices.cachedAudioInput) ?? audioInput,
    audioOutput: whole(prices.audioOutput),
    imageInput: listedImageInput ?? input,
    cachedImageInput: whole(prices.cachedImageInput) ?? listedImageInput ?? cachedInput,
    imageOutput: whole(prices.imageOutput),
  })
}

/** For each kind of token, the dearer of two rates. */
export function dearest(left: TokenRates, right: TokenRates): TokenRates {
  return Object.freeze({
    input: dearer(left.input, right.input),
    cachedInput: dearer(left.cachedInput, right.cachedInput),
    cacheWrite: dearer(left.cacheWrite, right.cacheWrite),
    cacheWriteLong: dearer(left.cacheWriteLong, right.cacheWriteLong),
    output: dearer(left.output, right.output),
    audioInput: dearer(left.audioInput, right.audioInput),
    cachedAudioInput: dearer(left.cachedAudioInput, right.cachedAudioInput),
    audioOutput: dearer(left.audioOutput, right.audioOutput),
    imageInput: dearer(left.imageInput, right.imageInput),
    cachedImageInput: dearer(left.cachedImageInput, right.cachedImageInput),
    imageOutput: dearer(left.imageOutput, right.imageOutput),
  })
}

/** The dearer of two rates; a rate that does not hold costs nothing. */
export function dearer(left: bigint | null, right: bigint | null): bigint | null {
  if (left === null || right === null) return left ?? right
  return left > right ? left : right
}

function whole(value: number | undefined): bigint | null {
  return value === undefined ? null : BigInt(value)
}

function sizes(table: Readonly<Record<string, Readonly<Record<string, number>>>> | undefined): BySize | null {
  if (table === undefined) return null
  return new Map(
    Object.entries(table).map(([quality, row]) => [
      quality,
      new Map(Object.entries(row).map(([size, value]) => [size, BigInt(value)])),
    ]),
  )
}
