import { LatchkeyError, type PriceOrigin, priceEntriesWire, priceEntryWire } from '@latchkey/shared'
import { z } from 'zod'

const file = z.strictObject({
  /** Names this state of the prices in records. */
  version: z.string().min(1),
  /** By provider, then model. */
  models: priceEntriesWire.default({}),
  /** By provider: another name of a model whose price is known to be the same. */
  aliases: z.record(z.string(), z.record(z.string(), z.string())).default({}),
  /** By provider: what one call of a hosted tool costs. */
  tools: z.record(z.string(), z.object({ source: z.string() }).catchall(z.int().nonnegative())).default({}),
  /** Providers whose unlisted models cost what they cost at another provider. */
  inherit: z.record(z.string(), z.string()).default({}),
  /** What a model costs that is listed nowhere. Only an operator can know how high that must be. */
  fallback: priceEntryWire.optional(),
})

/**
 * Prices as a file states them: whole pico-dollars per token, character, image, minute or call, so that
 * a dollar per million tokens is 1000000.
 */
export interface PriceFile extends z.infer<typeof file> {
  readonly origin: PriceOrigin
}

/**
 * Checks prices that were read from `name`. Throws `invalid_config` with the path of the first field that
 * is wrong: a negative or fractional price, an unknown field, periods out of order.
 */
export function parsePriceFile(value: unknown, name: string, origin: PriceOrigin = 'file'): PriceFile {
  const result = file.safeParse(value)
  if (result.success) return { ...result.data, origin }
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
