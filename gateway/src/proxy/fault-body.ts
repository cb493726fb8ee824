import { catalogue } from '@latchkey/shared'
import type { Provider, WireError } from '../providers/provider.ts'
import type { Refusal } from './refusal.ts'

/** A refusal in the words of the catalogue, or its own. */
export function wireError(refusal: Refusal): WireError {
  const { type, message } = catalogue[refusal.code]
  return {
    message: refusal.message ?? message,
    type,
    code: refusal.code,
    param: refusal.param ?? null,
    ...(refusal.details === undefined ? {} : { details: refusal.details }),
  }
}

/** The body of a refusal in the provider's wire shape: where every fault becomes bytes. */
export function faultBody(provider: Provider, refusal: Refusal): string {
  return provider.errorBody(wireError(refusal))
}
