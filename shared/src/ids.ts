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
/** The vault of one process, from its opening to its end. */
export type VaultProcessId = Branded<'VaultProcessId'>

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Whether `text` is a UUID in its canonical spelling: lower case, with hyphens. */
export function isUuid(text: string): boolean {
  return uuidShape.test(text)
}

/** The id that `text` spells, or null. Whether there is such a key is another question. */
export function parseProxyKeyId(text: string): ProxyKeyId | null {
  return /^[0-9A-Za-z]{12}$/.test(text) ? (text as ProxyKeyId) : null
}

/**
 * A UUID version 7 (RFC 9562, section 5.7): 48 bits of wall-clock milliseconds, then randomness.
 * Sorts by time to the millisecond, so an index on it grows at its end.
 */
export function uuidv7<Id extends Branded<string>>(clock: Clock, random: RandomBytes): Id {
  const now = clock.now()
  const high = Math.floor(now / 2 ** 16)
  spell(0, high >>> 24)
  spell(1, (high >>> 16) & 0xff)
  spell(2, (high >>> 8) & 0xff)
  spell(3, high & 0xff)
  spell(4, (now >>> 8) & 0xff)
  spell(5, now & 0xff)
  const bytes = random(10)
  for (let index = 0; index < 10; index++) spell(index + 6, bytes[index] ?? 0)
  spell(6, 0x70 | ((bytes[0] ?? 0) & 0x0f))
  spell(8, 0x80 | ((bytes[2] ?? 0) & 0x3f))
  return spelling.toString('latin1') as Id
}

// Each request makes one: written into one buffer, it costs a third of putting five pieces of text together.
const spelling = Buffer.alloc(36, '-')
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]
const digits = Buffer.from('0123456789abcdef')

function spell(index: number, byte: number): void {
  const place = places[index] ?? 0
  spelling[place] = digits[byte >> 4] ?? 0
  spelling[place + 1] = digits[byte & 0x0f] ?? 0
}

/** The least that a UUID version 7 of this moment (milliseconds since the epoch) can be: a bound for ranges of ids. */
export function leastUuidv7(moment: number): string {
  const hex = Math.max(0, Math.floor(moment)).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
}
