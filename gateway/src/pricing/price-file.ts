import { LatchkeyError } from '@latchkey/shared'
import { z } from 'zod'

// Above 2^53 a JSON number is no longer what was written, so zod's safe integers are all there are.
const count = z.int().positive()
/** Pico-dollars. A fraction, a negative or NaN is refused here, with its path. */
const pico = z.int().nonnegative()

const tokenPrices = {
  input: pico.optional(),
  cachedInput: pico.optional(),
  cacheWrite: pico.optional(),
  cacheWriteLong: pico.optional(),
  output: pico.optional(),
  audioInput: pico.optional(),
  cachedAudioInput: pico.optional(),
  audioOutput: pico.optional(),
  imageInput: pico.optional(),
  cachedImageInput: pico.optional(),
  imageOutput: pico.optional(),
}

const bySize = z.record(z.string(), z.record(z.string(), pico))

const tierPrices = z.strictObject({
  ...tokenPrices,
  /** What all tokens cost once the input has more than `above` of them. */
  long: z.strictObject({ above: count, ...tokenPrices }).optional(),
})

const standardPrices = tierPrices.extend({
  perRequest: pico.optional(),
  perMinute: pico.optional(),
  perCharacter: pico.optional(),
  perImage: bySize.optional(),
})

const period = z.strictObject({
  /** When these prices come into force; only the first period may leave it out. */
  from: z.iso.datetime({ offset: true }).optional(),
  standard: standardPrices.refine((prices) => Object.keys(prices).length > 0, 'names no price'),
  batch: tierPrices.optional(),
  flex: tierPrices.optional(),
  priority: tierPrices.optional(),
})
export type PricePeriod = z.infer<typeof period>
export type TierPrices = z.infer<typeof tierPrices>

const entry = z.strictObject({
  /** The provider's page that says so; in an operator's file, whatever helps to check it. */
  source: z.string().min(1),
  note: z.string().optional(),
  contextWindow: count.optional(),
  maxOutputTokens: count.optional(),
  imageTokens: count.optional(),
  imageFactor: count.optional(),
  imageOutputTokens: bySize.optional(),
  maxAudioSeconds: count.optional(),
  searches: z.literal(true).optional(),
  prices: z
    .array(period)
    .min(1)
    .superRefine((periods, context) => {
      let before = Number.NEGATIVE_INFINITY
      for (const [index, { from }] of periods.entries()) {
        const begins = from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(from)
        if (index > 0 && begins <= before) {
          context.addIssue({
            code: 'custom',
            path: [index, 'from'],
            message: 'periods must follow each other in time',
          })
        }
        before = begins
      }
    }),
})
export type PriceEntry = z.infer<typeof entry>

const byModel = z.record(z.string(), entry)

const file = z.strictObject({
  /** Names this state of the prices in records. */
  version: z.string().min(1),
  /** By provider, then model. */
  models: z.record(z.string(), byModel).default({}),
  /** By provider: another name of a model whose price is known to be the same. */
  aliases: z.record(z.string(), z.record(z.string(), z.string())).default({}),
  /** By provider: what one call of a hosted tool costs. */
  tools: z.record(z.string(), z.object({ source: z.string() }).catchall(pico)).default({}),
  /** Providers whose unlisted models cost what they cost at another provider. */
  inherit: z.record(z.string(), z.string()).default({}),
  /** What a model costs that is listed nowhere. Only an operator can know how high that must be. */
  fallback: entry.optional(),
})

/**
 * Prices as a file states them: whole pico-dollars per token, character, image, minute or call, so that
 * a dollar per million tokens is 1000000.
 */
export type PriceFile = z.infer<typeof file>

/**
 * Checks prices that were read from `name`. Throws `invalid_config` with the path of the first field that
 * is wrong: a negative or fractional price, an unknown field, periods out of order.
 */
export function parsePriceFile(value: unknown, name: string): PriceFile {
  const result = file.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const path = issue?.path.join('.') ?? ''
  throw invalidPrices(name, path, issue?.message ?? 'not valid')
}

/** The fault that refuses to load prices, with the path of the field. */
export function invalidPrices(name: string, path: string, what: string): LatchkeyError {
  return new LatchkeyError('invalid_config', {
    message: `The prices in ${name} can’t be used: ${path === '' ? 'the file' : path}: ${what}.`,
    param: path,
  })
}
