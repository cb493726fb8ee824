import type { Price, ServiceTier } from '../price.ts'
import { dearer } from '../resolve-price.ts'
import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Unbounded, unboundedParameter, unpricedModel } from './bound.ts'
import { type Ceiling, ceilingOf } from './ceiling.ts'
import type { InputSize } from './input-size.ts'

/** The most that an input can be billed as. */
export interface InputCost {
  readonly kind: 'input'
  readonly tokens: bigint
  readonly pico: bigint
  /** The rates that this many tokens reach. */
  readonly ceiling: Ceiling
}

/** Prompts that each fill a context window of their own, and what a provider adds to each. */
export interface Windows {
  readonly count: bigint
  /** Tokens that are nowhere in the request. */
  readonly hiddenTokens: bigint
}

/**
 * One conversation. Its provider adds instructions and a frame; a message's own frame (about four tokens) is
 * less than the JSON around it, which is counted.
 */
export const conversation: Windows = Object.freeze({ count: 1n, hiddenTokens: 256n })

/** Prompts that go to the model as they are. */
export function barePrompts(count: bigint): Windows {
  return { count, hiddenTokens: 8n }
}

/**
 * The most that the input of `ask` costs. Text has at most one token a byte: every tokenizer in use works
 * on UTF-8 bytes, and merges them. Images count at their documented most; what can't be seen, at the whole
 * context window.
 */
export function inputCost(
  ask: PricedAsk,
  terms: BoundTerms,
  price: Price,
  tier: ServiceTier,
  size: InputSize,
  windows: Windows = conversation,
): InputCost | Unbounded {
  const { contextWindow, imageTokens, imageFactor } = price.limits
  const room = contextWindow === null ? null : contextWindow * windows.count
  const hidden = size.opaque ?? size.audio ?? (size.images > 0 && imageTokens === null ? 'image' : null)
  if (hidden !== null && room === null) return unboundedParameter(hidden)
  const images = hidden === null ? BigInt(size.images) * (imageTokens ?? 0n) : 0n
  const text =
    hidden !== null && room !== null
      ? room * imageFactor
      : atMost(textTokens(ask, terms, size, windows), room)
  const tokens = text + images
  const ceiling = ceilingOf(price, tier, tokens)
  if (ceiling === null) return unboundedParameter('service_tier')
  // What can't be seen may ask for a long cache inside, as may parameters that only compatible APIs have.
  const keptLong =
    hidden !== null || size.cached || keepsCacheLong(ask.fields) || !terms.prices.isOpenai(ask.provider)
  const textRate = keptLong ? ceiling.textKeptLong : ceiling.text
  if (textRate === null) return unpricedModel('model')
  if (size.audio !== null && ceiling.audio === null) return unboundedParameter(size.audio)
  const imageRate = dearer(ceiling.image, textRate) ?? textRate
  const rate = hidden === null ? textRate : (dearer(imageRate, ceiling.audio) ?? textRate)
  return { kind: 'input', tokens, pico: text * rate + images * imageRate, ceiling }
}

function textTokens(ask: PricedAsk, terms: BoundTerms, size: InputSize, windows: Windows): bigint {
  const counted = terms.textTokens ?? Math.max(ask.bytes - size.dataBytes, 0)
  return BigInt(counted) + windows.hiddenTokens * windows.count
}

function atMost(tokens: bigint, room: bigint | null): bigint {
  return room !== null && tokens > room ? room : tokens
}

/** Writing to a cache that is kept long costs more; either parameter may ask for it. */
function keepsCacheLong(fields: PricedAsk['fields']): boolean {
  return (fields.prompt_cache_options ?? fields.prompt_cache_retention ?? null) !== null
}
