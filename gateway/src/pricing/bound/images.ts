import { greatest, isLeftOpen, listedFor } from '../by-size.ts'
import type { BySize, Price, ServiceTier } from '../price.ts'
import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, boundedAt, type Unbounded, unboundedParameter } from './bound.ts'
import { inputCost } from './input-cost.ts'
import { textOnly } from './input-size.ts'
import { askedPrice } from './model-price.ts'
import { isRefused, mostChoices, parameterRefusal, parameterRules, wholeNumber } from './parameters.ts'

/** Source: https://platform.openai.com/docs/api-reference/images/create and …/createEdit */
const rules = parameterRules([
  ...['prompt', 'background', 'model', 'moderation', 'n', 'output_compression', 'output_format'],
  ...['partial_images', 'quality', 'response_format', 'safety_identifier', 'size', 'stream', 'style', 'user'],
  ...['image', 'image[]', 'images', 'mask', 'input_fidelity'],
])

/** The most images that an edit takes, and its mask. Source: as above. */
const mostInputImages = 17
/** The most partial images of a stream. Source: as above. */
const mostPartialImages = 3
/** What each partial image of a stream adds. Source: https://platform.openai.com/docs/guides/image-generation */
const partialImageTokens = 100n

/** The most that a request to make images from a prompt costs. */
export function boundImageGeneration(ask: PricedAsk, terms: BoundTerms): Bound {
  return boundImages(ask, terms, 0)
}

/** The most that a request to change images costs. How many a form sends is not known until its end. */
export function boundImageEdit(ask: PricedAsk, terms: BoundTerms): Bound {
  return boundImages(ask, terms, mostInputImages)
}

function boundImages(ask: PricedAsk, terms: BoundTerms, inputImages: number): Bound {
  const isOpenai = terms.prices.isOpenai(ask.provider)
  const refusal = parameterRefusal(ask.fields, rules, isOpenai)
  if (refusal !== null) return refusal
  const asked = askedPrice(ask, terms)
  if (asked.kind === 'refused') return asked
  const { price, tier } = asked
  const count = wholeNumber(ask.fields, 'n', 1n, 1, mostChoices(isOpenai))
  if (isRefused(count)) return count
  const { perImage } = price.units
  if (perImage === null) return boundTokens(ask, terms, price, tier, inputImages, count)
  const each = mostOf(perImage, ask.fields)
  return typeof each === 'bigint' ? boundedAt(price, 0n, each * count) : each
}

function boundTokens(
  ask: PricedAsk,
  terms: BoundTerms,
  price: Price,
  tier: ServiceTier,
  inputImages: number,
  count: bigint,
): Bound {
  const { imageTokens, imageOutputTokens, maxOutputTokens } = price.limits
  if (imageOutputTokens === null || (inputImages > 0 && imageTokens === null)) {
    return unboundedParameter(
      'model',
      'How many tokens an image of this model is billed as has no known bound.',
    )
  }
  const each = mostOf(imageOutputTokens, ask.fields)
  const partial = wholeNumber(ask.fields, 'partial_images', 0n, 0, mostPartialImages)
  if (isRefused(each)) return each
  if (isRefused(partial)) return partial
  const input = inputCost(ask, terms, price, tier, { ...textOnly(), images: inputImages })
  if (input.kind === 'refused') return input
  const { imageOutput, output } = input.ceiling
  if (imageOutput === null) return unboundedParameter('model', 'No price is known for images of this model.')
  if (output !== null && maxOutputTokens === null) {
    return unboundedParameter('model', 'This model bills its thoughts, too, and nothing caps them.')
  }
  const images = count * (each + partial * partialImageTokens)
  const thoughts = output === null ? 0n : count * (maxOutputTokens ?? 0n)
  const pico = input.pico + images * imageOutput + thoughts * (output ?? 0n)
  return boundedAt(price, input.tokens, pico, images + thoughts)
}

/** The value for the quality and size that a request names; the greatest where it leaves one to the model. */
function mostOf(table: BySize, { quality, size }: PricedAsk['fields']): bigint | Unbounded {
  const most = greatest(listedFor(table, quality, size))
  if (most !== null) return most
  const knowsQuality = isLeftOpen(quality) || table.has(String(quality))
  return unboundedParameter(knowsQuality ? 'size' : 'quality')
}
