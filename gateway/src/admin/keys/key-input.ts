import { type changeProxyKeyWire, parseAddress, type StoredPolicy } from '@latchkey/shared'
import type { z } from 'zod'

/** What a request may say of a policy: all of it at creation, some of it in a change. */
type PolicyInput = Pick<
  z.output<typeof changeProxyKeyWire>,
  'models' | 'endpoints' | 'allowIps' | 'retries' | 'limits' | 'fit' | 'capture'
>

/** The fields of a policy that a request names; null takes a restriction away. */
export function policyPart(input: PolicyInput): Partial<StoredPolicy> {
  const { models, endpoints, allowIps, retries, limits, fit, capture } = input
  return {
    ...(models === undefined ? {} : { models }),
    ...(endpoints === undefined ? {} : { endpoints }),
    ...(allowIps === undefined ? {} : { allowIps: allowIps?.map(asBlock) ?? null }),
    ...(retries === undefined ? {} : { retries }),
    ...(limits === undefined ? {} : { limits }),
    ...(fit === undefined ? {} : { fit }),
    ...(capture === undefined ? {} : { capture }),
  }
}

/** A moment that a request names; null: never. */
export function momentOf(text: string | null | undefined): Date | null {
  return text == null ? null : new Date(text)
}

/** One bare address is the block that holds it alone. */
function asBlock(text: string): string {
  if (text.includes('/')) return text
  const address = parseAddress(text)
  return address === null ? text : `${address.toString()}/${address.kind() === 'ipv4' ? 32 : 128}`
}
