import { z } from 'zod'

/** The most items that one page of a list holds. */
export const pageLimitMost = 1000

/** What every list takes: how many items, and where to go on. A cursor is opaque; take it from the page before. */
export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(pageLimitMost).default(100),
  cursor: z.string().min(1).max(512).optional(),
})
export type PageQuery = z.infer<typeof pageQuery>

export interface Page<Item> {
  readonly data: Item[]
  /** Give it as `cursor` for the next page; null when this was the last. */
  readonly nextCursor: string | null
}

/** One page of a list of `item`. */
export function pageOf<Item extends z.ZodType>(
  item: Item,
): z.ZodObject<{ data: z.ZodArray<Item>; nextCursor: z.ZodNullable<z.ZodString> }> {
  return z.object({ data: z.array(item), nextCursor: z.string().nullable() })
}
