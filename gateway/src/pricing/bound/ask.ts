import type { PriceTable } from '../price-table.ts'

/** What is asked of a provider, as far as it decides what that may cost. */
export interface PricedAsk {
  readonly provider: string
  readonly method: string
  /** The path from `/v1` on. */
  readonly endpoint: string
  /** The members of the JSON body, or the text fields of a form. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The size of the JSON body in UTF-8, or of a form's text fields. */
  readonly bytes: number
}

/** What a bound is worked out by. */
export interface BoundTerms {
  readonly prices: PriceTable
  /** The moment whose prices hold: the request's start, in milliseconds since the epoch. */
  readonly at: number
  /** The output cap of a request that gives none, unless its model's maximum is lower. */
  readonly defaultCap: number
  /** A tokenizer's count of the whole body, where the count by bytes is too high to fit. */
  readonly textTokens?: number
}
