// That a change at one gateway binds at every other in time: two processes on one Postgres and Redis, requests all the
// while, and the time from the admin's answer to the last request that was served as before. `npm run prove-revocation`
import { parseArgs } from 'node:util'
import { end } from './end.ts'
import { type Measured, measureAll } from './revocation/measure.ts'

const usage = `npm run prove-revocation -- [--quick] [--measurements N] [--json]

Measures 200 revocations with NOTIFY and Redis up (each within 2 s) and 200 with both cut (each within 12 s), and a
tenth as many pauses, policy, budget and price changes. Some three minutes; --quick: 10, half a minute.`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    measurements: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function table(measured: readonly Measured[]): string {
  const rows = measured.map(({ kind, channels, count, p50, p99, p100, violations }) =>
    [
      kind.padEnd(8),
      (channels === 'both' ? 'up' : 'cut').padEnd(8),
      ...[count, p50, p99, p100].map((figure) => String(figure).padStart(7)),
      violations.length === 0 ? '  holds' : '  VIOLATED',
    ].join(''),
  )
  return [`change  channels  count p50 ms p99 ms p100 ms`, ...rows].join('\n')
}

if (values.help) process.stdout.write(`${usage}\n`)
else {
  const given = values.measurements ?? (values.quick ? '10' : '200')
  if (!/^[1-9][0-9]{0,4}$/.test(given)) {
    process.stderr.write(`--measurements takes a whole number.\n${usage}\n`)
    process.exit(2)
  }
  const measured = await measureAll({ revocations: Number(given) }, (text) =>
    process.stderr.write(`${text}\n`),
  )
  process.stdout.write(`${values.json ? JSON.stringify(measured) : table(measured)}\n`)
  const violations = measured.flatMap((each) => each.violations)
  for (const violation of violations) process.stderr.write(`${violation}\n`)
  end(violations.length > 0 ? 1 : 0)
}
