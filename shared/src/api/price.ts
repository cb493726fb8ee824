import { z } from 'zod'
import { timestamp } from './fields.ts'
import { pageOf, pageQuery } from './page.ts'

// Above 2^53 a JSON number is no longer what was written, so zod's safe integers are all there are.
const count = z.int().positive()
/** Pico-dollars. A fraction, a negative or NaN is refused here, with its path. */
const pico = z.int().nonnegative()

/** Text for people, or a name. Postgres stores neither NUL nor half a surrogate pair. */
const text = z
  .string()
  .min(1, 'must not be empty')
  .max(2048, 'must be at most 2048 characters')
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must not hold control characters')

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

const bySize = z.record(text, z.record(text, pico))

const tierPrices = z.strictObject({
  ...tokenPrices,
  /** What all tokens cost once the input has more than `above` of them. */
  long: z.strictObject({ above: count, ...tokenPrices }).optional(),
})
export type TierPrices = z.infer<typeof tierPrices>

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

/** What one model costs, as files of prices and this API state it: in whole pico-dollars. */
export const priceEntryWire = z.strictObject({
  /** The provider's page that says so; of an operator's own price, whatever helps to check it. */
  source: text,
  note: text.optional(),
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
export type PriceEntry = z.infer<typeof priceEntryWire>

/** Entries by provider, then model. */
export const priceEntriesWire = z.record(text, z.record(text, priceEntryWire))

/** Where a price stands: in this release, in the operator's file, or in the database by this API. The later one wins. */
export const priceOrigins = ['built-in', 'file', 'api'] as const
export type PriceOrigin = (typeof priceOrigins)[number]

/** What a model costs now. */
export const priceWire = z.object({
  provider: z.string(),
  /** As it was asked for, or is listed; `*` for what models cost that are listed nowhere. */
  model: z.string(),
  /** Under which names the price is listed, where the model has it from another one. */
  listedAs: z.object({ provider: z.string(), model: z.string() }),
  /** A fallback holds for models that are listed nowhere. */
  kind: z.enum(['priced', 'fallback']),
  origin: z.enum(priceOrigins),
  /** Stands in the records of what was charged by it. */
  version: z.string(),
  source: z.string(),
  /** When it came into force; null: as far back as we know. */
  from: timestamp.nullable(),
  /** Whether every request searches the web. */
  searches: z.boolean(),
  /** By path: pico-dollars (`standard.input`), tokens or seconds (`limits.contextWindow`). */
  figures: z.record(z.string(), z.int()),
})
export type PriceWire = z.infer<typeof priceWire>

export const pricePageWire = pageOf(priceWire)

/** `GET /api/prices`. */
export const pricesQuery = pageQuery.extend({
  provider: z.string().min(1).max(64).optional(),
  /** Its name as in a request: an alias, a dated or a fine-tuned name too. */
  model: z.string().min(1).max(256).optional(),
})
export type PricesQuery = z.infer<typeof pricesQuery>

/** `PUT /api/prices`: prices that take the place of what the built-in ones and the file say of these models. */
export const setPricesWire = z
  .strictObject({
    models: z
      .record(
        z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must name a provider'),
        z.record(text.max(256, 'must be at most 256 characters'), priceEntryWire),
      )
      .default({}),
    /** What models cost that are listed nowhere. */
    fallback: priceEntryWire.optional(),
    /** Tell what would change, and change nothing. */
    dryRun: z.boolean().default(false),
  })
  .refine(
    ({ models, fallback }) =>
      fallback !== undefined || Object.values(models).some((entries) => Object.keys(entries).length > 0),
    'names no price',
  )
export type SetPricesWire = z.input<typeof setPricesWire>

const figureChangeWire = z.object({
  field: z.string(),
  /** Null: not stated. */
  before: z.int().nullable(),
  after: z.int().nullable(),
})

/** What a change of prices changes of one model, at the moment of the answer. */
export const priceChangeWire = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('added'), provider: z.string(), model: z.string() }),
  z.object({ kind: z.literal('removed'), provider: z.string(), model: z.string() }),
  z.object({
    kind: z.literal('changed'),
    provider: z.string(),
    model: z.string(),
    fields: z.array(figureChangeWire),
  }),
])
export type PriceChangeWire = z.infer<typeof priceChangeWire>

/** What `PUT /api/prices` changed, or would change; what `DELETE /api/prices/:provider/:model` did. */
export const changedPricesWire = z.object({ dryRun: z.boolean(), changes: z.array(priceChangeWire) })
export type ChangedPricesWire = z.infer<typeof changedPricesWire>
