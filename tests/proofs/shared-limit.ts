// That two processes on one Redis keep a key's limit together, by the upstream's own count, and what holds when Redis is
// killed in the middle. `npm run prove-shared-limit`
import { parseArgs } from 'node:util'
import { holds, perMinute, type SharedLimitResult, tryRequests } from './shared-limit-trial.ts'

const usage = `npm run prove-shared-limit -- [--quick] [--json]

10,000 requests at a key with ${perMinute} a minute, by two gateways over 100 s, twice: with Redis, and with Redis killed in
the middle. --quick: 1,000 over 5 s.`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(`${usage}\n`)
else {
  const size = values.quick ? { requests: 1000, overMs: 5000 } : { requests: 10_000, overMs: 100_000 }
  for (const killRedis of [false, true]) {
    const result = await tryRequests({ ...size, killRedis })
    if (!holds(result)) process.exitCode = 1
    process.stdout.write(
      values.json ? `${JSON.stringify({ ...result, holds: holds(result) })}\n` : lineOf(result),
    )
  }
}

function lineOf(result: SharedLimitResult): string {
  const { requests, served, mostInAMinute, bound, outage } = result
  const after =
    outage === null
      ? 'Redis up'
      : `Redis killed in the middle, ${outage.served} served after that, bound ${outage.bound}`
  const verdict = holds(result) ? 'holds' : 'VIOLATED'
  return `${requests} requests, ${served} served, at most ${mostInAMinute} in a minute, bound ${bound}; ${after}: ${verdict}\n`
}
