import { withMember } from './json-member.ts'

/**
 * The JSON object `bytes` with its member `field` set to the number `value`. The field may stand once only, as
 * every field does on which a bound rests; all other bytes stay as they were sent.
 */
export function withNumberField(bytes: Buffer, field: string, value: bigint): Buffer {
  return withMember(bytes, field, value.toString())
}
