import { type Price, ratesAt, type ServiceTier, type TierRates, type TokenRates } from '../price.ts'
import { dearer, dearest } from '../resolve-price.ts'

/**
 * The most that one token can be billed at, in pico-dollars, by what is sent or asked for. Null: the
 * provider lists no price for the kind.
 */
export interface Ceiling {
  /** Text, whether the provider reads it, finds it in a cache or writes it to one. */
  readonly text: bigint | null
  /** The same, where the request asks for a cache that is kept long. */
  readonly textKeptLong: bigint | null
  readonly audio: bigint | null
  readonly image: bigint | null
  readonly output: bigint | null
  readonly audioOutput: bigint | null
  readonly imageOutput: bigint | null
}

const ceilings = new WeakMap<TokenRates, Ceiling>()
const joined = new WeakMap<Price, Map<ServiceTier, TierRates>>()

/**
 * The ceiling for a request of up to `inputTokens` tokens in `tier`; null where the tier has no price. The
 * standard rates count as well, since a provider may answer in another tier than it was asked for, and the
 * short context's, since fewer tokens may be billed.
 */
export function ceilingOf(price: Price, tier: ServiceTier, inputTokens: bigint): Ceiling | null {
  const rates = ratesAtMost(price, tier)
  if (rates === null) return null
  const reached = ratesAt(rates, inputTokens)
  const known = ceilings.get(reached)
  if (known !== undefined) return known
  const ceiling = fromRates(reached)
  ceilings.set(reached, ceiling)
  return ceiling
}

function ratesAtMost(price: Price, tier: ServiceTier): TierRates | null {
  const known = joined.get(price)?.get(tier)
  if (known !== undefined) return known
  const own = price.tiers[tier]
  if (own === undefined) return null
  const { standard } = price.tiers
  const short = dearest(own.short, standard.short)
  const above = least(own.long?.above ?? null, standard.long?.above ?? null)
  let long = short
  if (own.long !== null) long = dearest(long, own.long.rates)
  if (standard.long !== null) long = dearest(long, standard.long.rates)
  const rates = { short, long: above === null ? null : { above, rates: long } }
  const byTier = joined.get(price) ?? new Map<ServiceTier, TierRates>()
  joined.set(price, byTier.set(tier, rates))
  return rates
}

function fromRates(rates: TokenRates): Ceiling {
  const text = dearer(dearer(rates.input, rates.cachedInput), rates.cacheWrite)
  return {
    text,
    textKeptLong: dearer(text, rates.cacheWriteLong),
    // Audio and images, too, may be written to a cache.
    audio: rates.audioInput === null ? null : dearer(dearer(rates.audioInput, rates.cachedAudioInput), text),
    image: rates.imageInput === null ? null : dearer(dearer(rates.imageInput, rates.cachedImageInput), text),
    output: rates.output,
    audioOutput: rates.audioOutput,
    imageOutput: rates.imageOutput,
  }
}

function least(left: bigint | null, right: bigint | null): bigint | null {
  if (left === null || right === null) return left ?? right
  return left < right ? left : right
}
