import type { LimitPeriod, ScopeKind, StoredLimit } from '@latchkey/shared'
import { retryAfterSeconds } from './headers.ts'
import type { LimitRefusal } from './rate-limiter.ts'

const subjects: Readonly<Record<ScopeKind, string>> = {
  key: 'This API key',
  group: 'The group of this API key',
  organization: 'The organization of this API key',
  provider_key: 'The provider key behind this API key',
}

const periods: Readonly<Record<LimitPeriod, string>> = { minute: 'a minute', hour: 'an hour', day: 'a day' }

/** Says to a client which limit refused its request, and when to try again. */
export function refusalMessage(refusal: LimitRefusal): string {
  const { scope, limit } = refusal
  return `${subjects[scope.kind]} ${allowance(limit)}. Try again in ${duration(retryAfterSeconds(refusal))}.`
}

function allowance(limit: StoredLimit): string {
  switch (limit.unit) {
    case 'requests':
      return `may send ${counted(limit.limit, 'request')} ${periods[limit.per]}`
    case 'tokens':
      return `may use ${counted(limit.limit, 'token')} ${periods[limit.per]}`
    case 'concurrency':
      return `may have ${counted(limit.limit, 'request')} in flight at a time`
    default:
      return limit satisfies never
  }
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
