// That no budget is ever overspent, and no money ever lost: real gateways as processes of their own, a simulator as
// their upstream, and a checker that reads nothing but the upstream's books and the database. `npm run prove-budgets`
import { parseArgs } from 'node:util'
import { discardAll } from './budgets/deployment.ts'
import { jsonOf, type Reported, tableOf } from './budgets/report.ts'
import { scenarios } from './budgets/scenarios.ts'

const usage = `Usage: npm run prove-budgets -- [options]
  --quick             a small size: minutes instead of half an hour
  --scenario <n>      one scenario alone; may be repeated
${scenarios.map(({ number, title }) => `                      ${number}: ${title}`).join('\n')}
  --processes <1|2>   on so many processes alone
  --kills <n>         how often a gateway is killed (50, quick: 3)
  --seed <n>          makes what is random repeatable, as far as time is
  --json              the report as JSON`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    scenario: { type: 'string', multiple: true },
    processes: { type: 'string' },
    kills: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

/** The number that an option spells. Ends the process where it spells none. */
function number(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (/^[0-9]{1,9}$/.test(text)) return Number(text)
  process.stderr.write(`--${name} takes a whole number.\n${usage}\n`)
  process.exit(2)
}

async function prove(): Promise<number> {
  const size = values.quick ? 'quick' : 'full'
  const seed = number('seed', values.seed, Date.now() % 1_000_000)
  const kills = number('kills', values.kills, values.quick ? 3 : 50)
  const wanted = values.scenario?.map((text) => number('scenario', text, 0))
  const on = number('processes', values.processes, 0)
  const started = performance.now()
  const say = (text: string) => {
    const seconds = Math.round((performance.now() - started) / 1000)
    process.stderr.write(`${String(seconds).padStart(5)} s  ${text}\n`)
  }
  say(`seed ${seed}`)
  const reported: Reported[] = []
  for (const { number: scenario, title, processes, run } of scenarios) {
    if (wanted !== undefined && !wanted.includes(scenario)) continue
    for (const count of processes) {
      if (on !== 0 && on !== count) continue
      say(`scenario ${scenario}: ${title}`)
      for (const trial of await run({ size, seed, kills, processes: count, say }))
        reported.push({ scenario, ...trial })
    }
  }
  process.stdout.write(`${values.json ? jsonOf(seed, reported) : tableOf(reported)}\n`)
  const violated = reported.filter(({ violations }) => violations.length > 0)
  say(
    violated.length === 0
      ? `all of ${reported.length} trials hold`
      : `${violated.length} of ${reported.length} trials do not hold; --seed ${seed} repeats this run`,
  )
  return violated.length === 0 && reported.length > 0 ? 0 : 1
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void discardAll().finally(() => process.exit(130)))

if (values.help) process.stdout.write(`${usage}\n`)
else process.exitCode = await prove()
