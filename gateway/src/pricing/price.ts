import type { PriceOrigin } from '@latchkey/shared'

/** The processing tiers that providers price apart. `priority` is what OpenAI also calls fast mode. */
export const serviceTiers = ['standard', 'batch', 'flex', 'priority'] as const
export type ServiceTier = (typeof serviceTiers)[number]

/**
 * Pico-dollars (1e-12 USD) per token, by what the token is. Where a provider does not price a kind apart
 * (cached input without a discount, images billed as text), the price that holds for it stands here. Null:
 * it lists none, and none holds.
 */
export interface TokenRates {
  readonly input: bigint | null
  readonly cachedInput: bigint | null
  /** Input written to a prompt cache that is kept briefly: 30 minutes at OpenAI, 5 at Anthropic. */
  readonly cacheWrite: bigint | null
  /** The same, kept long: 12 hours at OpenAI, one hour at Anthropic. */
  readonly cacheWriteLong: bigint | null
  readonly output: bigint | null
  readonly audioInput: bigint | null
  readonly cachedAudioInput: bigint | null
  readonly audioOutput: bigint | null
  readonly imageInput: bigint | null
  readonly cachedImageInput: bigint | null
  readonly imageOutput: bigint | null
}

/** The rates of one tier. All tokens of a request whose input exceeds `above` tokens are billed by `long`. */
export interface TierRates {
  readonly short: TokenRates
  readonly long: { readonly above: bigint; readonly rates: TokenRates } | null
}

/** Pico-dollars for what is not billed by the token. Null: not billed so. */
export interface UnitRates {
  readonly perRequest: bigint | null
  /** Of audio. */
  readonly perMinute: bigint | null
  /** Of text that is spoken. */
  readonly perCharacter: bigint | null
  /** By quality, then size. */
  readonly perImage: BySize | null
}

/** A value by an image's quality (`high`), then its size (`1024x1024`). */
export type BySize = ReadonlyMap<string, ReadonlyMap<string, bigint>>

/** What a model can take and give, as its provider documents it. Null: not documented. */
export interface ModelLimits {
  /** The most input tokens. */
  readonly contextWindow: bigint | null
  /** The most output tokens of one choice. */
  readonly maxOutputTokens: bigint | null
  /** The most tokens that one input image is billed as. */
  readonly imageTokens: bigint | null
  /** By how much the tokens that an image is billed as may exceed the room that it takes in the window. */
  readonly imageFactor: bigint
  /** The tokens of one image that is made. */
  readonly imageOutputTokens: BySize | null
  /** The longest audio that is taken, in seconds. */
  readonly maxAudioSeconds: bigint | null
  /** Whether every request searches the web, at a cost that the request does not bound. */
  readonly searches: boolean
}

/** What a model costs at some moment. Frozen: a hold keeps it, and is settled by it. */
export interface Price {
  readonly provider: string
  /** The name that the price is listed under; requests may have used an alias of it. */
  readonly model: string
  /** Which state of the prices it is from, for records. */
  readonly version: string
  readonly origin: PriceOrigin
  /** Where it can be checked. */
  readonly source: string
  /** When it came into force, in milliseconds since the epoch; null: as far back as we know. */
  readonly from: number | null
  readonly limits: ModelLimits
  readonly units: UnitRates
  readonly tiers: { readonly standard: TierRates } & { readonly [Tier in ServiceTier]?: TierRates }
}

/** The rates for a request of `inputTokens` tokens. */
export function ratesAt(tier: TierRates, inputTokens: bigint): TokenRates {
  return tier.long !== null && inputTokens > tier.long.above ? tier.long.rates : tier.short
}

/**
 * The tier that a provider's `service_tier` means; null for one that is not priced here. None and `auto`
 * are the standard one: a project whose default is another must say so in its requests.
 * Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-service_tier
 */
export function serviceTierOf(name: unknown): ServiceTier | null {
  switch (name) {
    case undefined:
    case null:
    case 'auto':
    case 'default':
      return 'standard'
    case 'flex':
    case 'priority':
    case 'batch':
      return name
    case 'fast':
      return 'priority'
    default:
      return null
  }
}
