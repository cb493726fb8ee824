import { mostLimit } from '../budget/change-budget.ts'
import { type Bound, type Bounded, unboundedParameter } from '../pricing/bound/bound.ts'
import { boundRequest } from '../pricing/bound/bound-request.ts'
import type { CostPrices, Pieces } from '../pricing/cost.ts'
import { piecesAsked } from '../pricing/pieces.ts'
import type { Price } from '../pricing/price.ts'
import type { PriceTable } from '../pricing/price-table.ts'

/** What of a request decides what it can cost. */
export interface PricedRequest {
  readonly method: string
  /** From `/v1` on. */
  readonly endpoint: string
  /** The members of its JSON body, or the text fields of its form. */
  readonly fields: Readonly<Record<string, unknown>>
  /** Their size in bytes. */
  readonly bytes: number
  /** Whether it is a form: see `PricedAsk`. */
  readonly isForm?: boolean
  /** When it began, in milliseconds since the epoch: the prices of then hold. */
  readonly at: number
}

/** What a request can cost at one provider, and what it will be charged by. */
export interface Quote {
  readonly bound: Bound
  /** Null: no price is known, or it is free. */
  readonly prices: CostPrices | null
  /** The service tier that it asks for, as it spells it; null: none. */
  readonly serviceTier: string | null
  /** What it orders by the piece; null: it is billed by the usage that its answer tells. */
  readonly pieces: Pieces | null
}

/**
 * The output cap of a request that gives none, unless its model's maximum is lower: room for a long answer,
 * and no reason to hold hundreds of thousands of tokens for each request of an agent.
 */
const defaultOutputCap = 16_384

/** Quotes one request at one provider, by the prices of its start. */
export function quoteFor(
  table: PriceTable,
  provider: string,
  request: PricedRequest,
  textTokens?: number,
): Quote {
  const { method, endpoint, fields, bytes, isForm = false, at } = request
  const terms = { prices: table, at, defaultCap: defaultOutputCap }
  const bound = payable(
    boundRequest(
      { provider, method, endpoint, fields, bytes, isForm },
      textTokens === undefined ? terms : { ...terms, textTokens },
    ),
  )
  const price = bound.kind === 'bounded' ? bound.price : listedPrice(table, provider, request)
  const serviceTier = typeof fields.service_tier === 'string' ? fields.service_tier : null
  if (price === null) return { bound, prices: null, serviceTier, pieces: null }
  const imageModel = Array.isArray(fields.tools) ? imageToolPrice(table, provider, fields.tools, at) : null
  const prices = { price, tools: table.toolPrices(provider), imageModel }
  return { bound, prices, serviceTier, pieces: piecesAsked(price, fields) }
}

/** No budget can hold more than `mostLimit`, so nobody is asked to. */
function payable(bound: Bound): Bound {
  if (bound.kind === 'refused' || bound.nanoUsd <= mostLimit) return bound
  return unboundedParameter(bound.cap?.field ?? null, 'This request may cost more than any budget can have.')
}

/**
 * The most that a request takes of a limit that counts tokens: one whose usage is never told keeps what it took.
 * What it uses beyond that is taken at its end.
 */
const mostTokens = 10_000_000

/**
 * The most tokens that a request can use, for limits that count them: by its bound, its model's maximum and
 * `mostTokens`. Without a bound, what its text and its cap may come to.
 */
export function tokensOf({ bound }: Quote, { fields, bytes }: PricedRequest): number {
  if (bound.kind === 'refused') return Math.min(bytes + capNamed(fields), mostTokens)
  const tokens = bound.inputTokens + outputTokens(bound)
  return tokens < mostTokens ? Number(tokens) : mostTokens
}

function outputTokens({ cap, price, outputTokens }: Bounded): bigint {
  if (cap === null) return outputTokens ?? 0n
  const most = price?.limits.maxOutputTokens ?? cap.tokens
  return (cap.tokens < most ? cap.tokens : most) * cap.choices
}

/** The output cap of a request that has no bound; 0: it gives none that can be read. */
function capNamed(fields: PricedRequest['fields']): number {
  let most = 0
  for (const name of ['max_tokens', 'max_completion_tokens', 'max_output_tokens']) {
    const value = fields[name]
    if (typeof value === 'number' && value > most) most = Math.ceil(value)
  }
  return most
}

/** The price of a request that has no bound, and so can only be charged afterwards. */
function listedPrice(table: PriceTable, provider: string, { fields, at }: PricedRequest): Price | null {
  if (typeof fields.model !== 'string') return null
  const found = table.find(provider, fields.model, at)
  return found.kind === 'unpriced' ? null : found.price
}

/** The model that makes images for the tool where the request names none. Source: https://developers.openai.com/api/docs/guides/tools-image-generation */
const defaultImageModel = 'gpt-image-1'

function imageToolPrice(
  table: PriceTable,
  provider: string,
  tools: readonly unknown[],
  at: number,
): Price | null {
  for (const tool of tools) {
    if (typeof tool !== 'object' || tool === null || !('type' in tool) || tool.type !== 'image_generation')
      continue
    const model = 'model' in tool && typeof tool.model === 'string' ? tool.model : defaultImageModel
    const found = table.find(provider, model, at)
    return found.kind === 'unpriced' ? null : found.price
  }
  return null
}
