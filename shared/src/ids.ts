import type { Clock, RandomBytes } from './clock.ts'

declare const brand: unique symbol
/** A string that only the parser or maker of its kind hands out. */
export type Branded<Name extends string> = string & { readonly [brand]: Name }

export type OrganizationId = Branded<'OrganizationId'>
export type ProviderKeyId = Branded<'ProviderKeyId'>
/** 12 base62 characters; stands in the token itself, so a row is found by one indexed read. */
export type ProxyKeyId = Branded<'ProxyKeyId'>
export type RequestId = Branded<'RequestId'>
export type DeploymentId = Branded<'DeploymentId'>
export type GroupId = Branded<'GroupId'>
export type BudgetId = Branded<'BudgetId'>
/** Minted by the process that asks for the lease, so that it can ask again when a reply is lost. */
export type LeaseId = Branded<'LeaseId'>
/** One run of one process, from its first heartbeat until it ends or is taken for dead. */
export type EpochId = Branded<'EpochId'>

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Whether `text` is a UUID in its canonical spelling: lower case, with hyphens. */
export function isUuid(text: string): boolean {
  return uuidShape.test(text)
}

/**
 * A UUID version 7 (RFC 9562, section 5.7): 48 bits of wall-clock milliseconds, then randomness.
 * Sorts by time to the millisecond, so an index on it grows at its end.
 */
export function uuidv7<Id extends Branded<string>>(clock: Clock, random: RandomBytes): Id {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(clock.now(), 0, 6)
  bytes.set(random(10), 6)
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}` as Id
}
