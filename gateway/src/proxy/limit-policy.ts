import { createHash } from 'node:crypto'
import { nanoUsdPerCent } from '../limits/headers.ts'
import type { NamedLimit } from '../limits/limit.ts'
import type { Annotations } from './annotations.ts'
import { type Refusal, refuse } from './refusal.ts'

/** A rate limit that a request names for itself, and the segment that it counts in. */
export interface LimitPolicy {
  readonly kind: 'policy'
  /** The header that names it. */
  readonly header: string
  readonly limit: NamedLimit
  /** Short, whatever the header's value is. */
  readonly segment: string
}

const mostSeconds = 86_400
const mostQuota = 1_000_000_000
const mostCents = 10_000_000
const syntax = '<quota>;w=<seconds>[;u=request|token|cents][;s=user|<property>]'

/**
 * Reads `latchkey-ratelimit-policy` or its alias: at most `quota` requests, tokens or US cents in `w` seconds, for the
 * key or for each user or value of a property. Refused where it says anything else: what is not understood must not
 * look as if it held. Null: there is none. Source: https://docs.helicone.ai/features/advanced-usage/custom-rate-limits
 */
export function readLimitPolicy(annotations: Annotations): LimitPolicy | Refusal | null {
  const { limitPolicy } = annotations
  if (limitPolicy === null) return null
  if (limitPolicy === 'differing')
    return refuseHeader('latchkey-ratelimit-policy', 'is said twice, with different values')
  const { name: header, value } = limitPolicy
  const [quotaText = '', ...rest] = value.split(';').map((part) => part.trim())
  const parameters = new Map<string, string>()
  for (const part of rest) {
    const [, name, text] = /^([wus])=(\S+)$/.exec(part) ?? []
    if (name === undefined || text === undefined) return refuseHeader(header, `must be ${syntax}`)
    if (parameters.has(name)) return refuseHeader(header, `says ${name} twice`)
    parameters.set(name, text)
  }
  const unit = unitOf(parameters.get('u') ?? 'request')
  if (unit === null) return refuseHeader(header, 'has a u that is none of request, token, cents')
  const most = unit === 'nano-usd' ? mostCents : mostQuota
  const quota = wholeNumber(quotaText, most)
  if (quota === null)
    return refuseHeader(header, `must begin with a quota, a whole number from 1 to ${most}: ${syntax}`)
  const per = wholeNumber(parameters.get('w') ?? '', mostSeconds)
  if (per === null)
    return refuseHeader(header, `must have a window, w=<seconds>: a whole number from 1 to ${mostSeconds}`)
  const segment = segmentOf(annotations, parameters.get('s'))
  if (segment === null)
    return refuseHeader(header, 'names a segment (s) that the request has no header for, or no name of one')
  const limit = { unit, per, limit: unit === 'nano-usd' ? quota * nanoUsdPerCent : quota }
  return { kind: 'policy', header, limit, segment }
}

function unitOf(text: string): NamedLimit['unit'] | null {
  switch (text) {
    case 'request':
      return 'requests'
    case 'token':
      return 'tokens'
    case 'cents':
      return 'nano-usd'
    default:
      return null
  }
}

function wholeNumber(text: string, most: number): number | null {
  const number = /^[1-9][0-9]{0,11}$/.test(text) ? Number(text) : null
  return number === null || number > most ? null : number
}

/** Null: the request does not say in which segment it is. */
function segmentOf({ userId, properties }: Annotations, by: string | undefined): string | null {
  if (by === undefined) return 'all'
  const name = by.toLowerCase()
  const value = name === 'user' ? userId : Object.hasOwn(properties, name) ? properties[name] : null
  if (value == null || value === '') return null
  // What a client sends is not to stand in the names of keys, nor to have any length there.
  return createHash('sha256').update(`${name}\0${value}`).digest('base64url').slice(0, 22)
}

function refuseHeader(header: string, what: string): Refusal {
  return refuse('invalid_request', { param: header, message: `The header ${header} ${what}.` })
}
