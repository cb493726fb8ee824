// That two processes on one Redis keep a key's limit together, by the upstream's own count, and what holds when Redis is
// killed in the middle. `npm run prove-shared-limit`
import { parseArgs } from 'node:util'
import { perMinute, tryRequests } from './shared-limit-trial.ts'

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
    const { requests, served, mostInAMinute, bound } = result
    const holds = mostInAMinute <= bound
    if (!holds) process.exitCode = 1
    const redis = killRedis ? 'Redis killed in the middle' : 'Redis up'
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ killRedis, ...result, holds })}\n`
        : `${redis}: ${requests} requests, ${served} served, at most ${mostInAMinute} in a minute, bound ${bound}: ${holds ? 'holds' : 'VIOLATED'}\n`,
    )
  }
}
