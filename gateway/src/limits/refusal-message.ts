import { formatUsd, type LimitPeriod, nanoUsd } from '@latchkey/shared'
import { retryAfterSeconds } from './headers.ts'
import type { Limit, RefillingLimit } from './limit.ts'
import type { LimitRefusal, LimitScopeKind } from './rate-limiter.ts'

const subjects: Readonly<Record<Exclude<LimitScopeKind, 'provider_key'>, string>> = {
  key: 'This API key',
  group: 'The group of this API key',
  organization: 'The organization of this API key',
  policy: 'By the rate limit that it names, this request’s segment',
}

const periods: Readonly<Record<LimitPeriod, string>> = { minute: 'a minute', hour: 'an hour', day: 'a day' }

/** Says to a client which limit refused its request, and when to try again. Of a provider key it says no more than that. */
export function refusalMessage(refusal: LimitRefusal): string {
  const { scope, limit } = refusal
  const again = `Try again in ${duration(retryAfterSeconds(refusal))}.`
  return scope.kind === 'provider_key'
    ? `The provider key behind this API key is at its rate limit. ${again}`
    : `${subjects[scope.kind]} ${allowance(limit)}. ${again}`
}

function allowance(limit: Limit): string {
  switch (limit.unit) {
    case 'requests':
      return `may send ${counted(limit.limit, 'request')} ${period(limit)}`
    case 'tokens':
      return `may use ${counted(limit.limit, 'token')} ${period(limit)}`
    case 'nano-usd':
      return `may cost $${formatUsd(nanoUsd(BigInt(limit.limit)))} ${period(limit)}`
    case 'concurrency':
      return `may have ${counted(limit.limit, 'request')} in flight at a time`
    default:
      return limit satisfies never
  }
}

function period({ per }: RefillingLimit): string {
  return typeof per === 'number' ? `in ${per} s` : periods[per]
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** Rounded up to a unit that a person can picture. */
function duration(seconds: number): string {
  if (seconds <= 120) return `${seconds} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes <= 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`
}
