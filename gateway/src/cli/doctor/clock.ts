import { type Finding, fail, ok, warn } from './finding.ts'
import type { Situation } from './situation.ts'

// When this code was written: a clock that says less is wrong for sure.
const earliest = Date.UTC(2026, 0, 1)
const latest = Date.UTC(2100, 0, 1)
const noticeableMs = 2000
const harmfulMs = 60_000

/** Whether the clock is plausible, and agrees with the gateway's and the database's: expiry goes by them. */
export function checkClock({ now, gateway }: Situation): Finding {
  const shown = new Date(now).toISOString()
  const advice = 'Set the clock, and let it be kept by NTP: keys expire by it.'
  if (now < earliest || now > latest) return fail('clock', `${shown} can't be right`, advice)
  if (gateway.kind !== 'running') return ok('clock', shown)
  const { status } = gateway
  const moments = [status.now, ...(status.database.kind === 'reachable' ? [status.database.now] : [])]
  const apart = Math.max(...moments.map((moment) => Math.abs(Date.parse(moment) - now)))
  const detail = `${shown}, ${Math.round(apart)} ms from the gateway's and the database's`
  if (apart > harmfulMs) return fail('clock', detail, advice)
  return apart > noticeableMs ? warn('clock', detail, advice) : ok('clock', detail)
}
