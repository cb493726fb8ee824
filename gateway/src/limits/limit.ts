import type { StoredLimit } from '@latchkey/shared'
import { periodMs } from './period.ts'

/** A limit that a request names for itself: it refills over any number of seconds, and may count money. */
export interface NamedLimit {
  readonly unit: 'requests' | 'tokens' | 'nano-usd'
  /** Seconds, whole, a day at the most. */
  readonly per: number
  readonly limit: number
}

/** A limit of an operator's, or of a request's own. */
export type Limit = StoredLimit | NamedLimit

/** One that refills, other than slots. */
export type RefillingLimit = Exclude<Limit, { readonly unit: 'concurrency' }>

/** How long a limit takes to refill, in milliseconds. */
export function refillMs({ per }: RefillingLimit): number {
  return typeof per === 'number' ? per * 1000 : periodMs[per]
}
