import type { Price, ServiceTier } from '../price.ts'
import { serviceTierOf } from '../price.ts'
import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Unbounded, unboundedParameter, unpricedModel } from './bound.ts'

/** The price and tier that a request asks for. */
export interface AskedPrice {
  readonly kind: 'asked'
  readonly price: Price
  readonly tier: ServiceTier
}

/** The price of the model that the request names, in the tier that it names. */
export function askedPrice(ask: PricedAsk, terms: BoundTerms): AskedPrice | Unbounded {
  const { model, service_tier: tierName } = ask.fields
  if (typeof model !== 'string') return unpricedModel('model', 'Name the model: this API key has a budget.')
  const found = terms.prices.find(ask.provider, model, terms.at)
  if (found.kind === 'unpriced') return unpricedModel('model')
  const { price } = found
  if (price.limits.searches) {
    return unboundedParameter('model', 'This model searches the web, which costs what no parameter bounds.')
  }
  const tier = serviceTierOf(tierName)
  if (tier === null || price.tiers[tier] === undefined) {
    return unboundedParameter('service_tier', 'No price is known for this model in this service tier.')
  }
  return { kind: 'asked', price, tier }
}
