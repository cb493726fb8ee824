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
  /** Whether it is a form, of which values longer than 4 KiB stand as '' in the fields. */
  readonly isForm?: boolean
}

/** What a bound is worked out by. */
export interface BoundTerms {
  readonly prices: PriceTable
  /** The moment whose prices hold: the request's start, in milliseconds since the epoch. */
  readonly at: number
  /** The output cap of a request that gives none, unless its model's maximum is lower. */
  readonly defaultCap: number
  /** The most tokens that the body is, images apart, where its bytes are too many to fit: see `TokenCounter`. */
  readonly textTokens?: number
}
