// What rate limits cost a request, over a key and its group with three limits each; and that a day of looks each
// millisecond makes no drift. `npm run prove-limits`
import { type StoredLimit, systemClock } from '@latchkey/shared'
import { Bucket } from '../../gateway/src/limits/bucket.ts'
import { rateLimitHeaders } from '../../gateway/src/limits/headers.ts'
import { InProcessRateLimiter } from '../../gateway/src/limits/in-process.ts'
import { periodMs } from '../../gateway/src/limits/period.ts'
import type { LimitAsk } from '../../gateway/src/limits/rate-limiter.ts'
import { admittedUntil } from '../limits/saturate.ts'

const rounds = 1_000_000
const keys = 300
const mostNanoseconds = 2_000

// Of the group each key has an array of its own, as in the snapshots from which requests are served.
const limits = (factor: number): readonly StoredLimit[] => [
  { unit: 'requests', per: 'minute', limit: 1_000_000_000 * factor },
  { unit: 'tokens', per: 'minute', limit: 1_000_000_000_000 * factor },
  { unit: 'concurrency', limit: 100 * factor },
]
const asksOfKeys: readonly (readonly LimitAsk[])[] = Array.from({ length: keys }, (_, index) => [
  { scope: { organizationId: 'school', kind: 'key', id: `key${index}` }, limits: limits(1) },
  { scope: { organizationId: 'school', kind: 'group', id: 'group' }, limits: limits(2) },
])

/** Nanoseconds for one round. */
function measure(withHeaders: boolean): number {
  const limiter = new InProcessRateLimiter(systemClock)
  let characters = 0
  const started = performance.now()
  for (let round = 0; round < rounds; round++) {
    const decision = limiter.take(asksOfKeys[round % keys] ?? [], 20_000)
    if (decision.kind !== 'taken') throw new Error(`refused by ${decision.limit.unit}`)
    if (withHeaders) characters += rateLimitHeaders(decision.state)[1]?.length ?? 0
    decision.grant.settle(1_500)
  }
  const nanoseconds = ((performance.now() - started) * 1e6) / rounds
  if (withHeaders && characters === 0) throw new Error('no headers')
  return nanoseconds
}

measure(true)
const bare = measure(false)
const whole = measure(true)
process.stdout.write(
  `take and settle, six limits: ${bare.toFixed(0)} ns; with the headers: ${whole.toFixed(0)} ns\n`,
)

const perMinute = 7_001
const admitted = admittedUntil(new Bucket(perMinute, periodMs.minute, 0), periodMs.day)
const expected = perMinute + perMinute * 24 * 60
process.stdout.write(`admitted in a day at ${perMinute} a minute: ${admitted} of ${expected}\n`)
process.exitCode = bare <= mostNanoseconds && admitted === expected ? 0 : 1
