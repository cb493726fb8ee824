import type { BoundTerms } from '../../gateway/src/pricing/bound/ask.ts'
import type { Bound, Bounded, Unbounded } from '../../gateway/src/pricing/bound/bound.ts'
import { boundRequest } from '../../gateway/src/pricing/bound/bound-request.ts'
import { type Cost, costOf, noPieces, type Pieces } from '../../gateway/src/pricing/cost.ts'
import { loadPrices } from '../../gateway/src/pricing/load-prices.ts'
import type { Price } from '../../gateway/src/pricing/price.ts'
import { readOpenai } from '../../gateway/src/providers/openai/reading.ts'

/** The moment at which the tests buy, unless they say otherwise. */
export const today = Date.parse('2026-11-21T12:00:00Z')

/** The built-in prices. */
export const prices = await loadPrices(null)

/** The price of a model that must have one. */
export function priceOf(model: string, provider = 'openai', at = today): Price {
  const found = prices.find(provider, model, at)
  if (found.kind === 'unpriced') throw new Error(`${provider} ${model} has no price`)
  return found.price
}

/** What an answer of `model`, in OpenAI's shape, did cost. */
export function costOfAnswer(
  model: string,
  answer: unknown,
  options: { pieces?: Partial<Pieces>; provider?: string; at?: number; imageModel?: string } = {},
): Cost {
  const consumption = readOpenai(answer)?.consumption ?? null
  if (consumption === null) throw new Error('the answer tells no usage')
  return costOf(
    {
      price: priceOf(model, options.provider, options.at),
      tools: prices.toolPrices('openai'),
      imageModel: options.imageModel === undefined ? null : priceOf(options.imageModel),
    },
    consumption,
    { ...noPieces, ...options.pieces },
  )
}

/** The bound of a JSON request. */
export function boundOf(
  endpoint: string,
  fields: Readonly<Record<string, unknown>>,
  options: Partial<BoundTerms> & { provider?: string; method?: string } = {},
): Bound {
  const { provider = 'openai', method = 'POST', ...terms } = options
  const bytes = Buffer.byteLength(JSON.stringify(fields))
  return boundRequest(
    { provider, method, endpoint, fields, bytes },
    { prices, at: today, defaultCap: 16_384, ...terms },
  )
}

/** A bound that must be one. */
export function bounded(bound: Bound): Bounded {
  if (bound.kind === 'refused') throw new Error(`refused: ${bound.param} ${bound.message}`)
  return bound
}

/** A refusal that must be one. */
export function refused(bound: Bound): Unbounded {
  if (bound.kind === 'bounded') throw new Error(`bounded: ${bound.nanoUsd}`)
  return bound
}
