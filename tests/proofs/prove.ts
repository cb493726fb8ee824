import { parseArgs } from 'node:util'
import { discardAll } from './budgets/deployment.ts'
import { jsonOf, type Reported, tableOf } from './budgets/report.ts'
import type { Scenario } from './budgets/scenarios.ts'
import { end } from './end.ts'

/** A proof that is run from the command line, scenario by scenario. */
export interface Proof {
  /** The npm script. */
  readonly command: string
  /** How long it takes in full, in words. */
  readonly takes: string
  /** How often a gateway is killed unless the options say otherwise. */
  readonly kills: Readonly<Record<'quick' | 'full', number>>
  readonly scenarios: readonly Scenario[]
}

/** Runs what the arguments ask for, says on standard error how far it is, and ends with a table. Exit code 1: something does not hold. */
export async function prove(proof: Proof): Promise<void> {
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
  const usage = usageOf(proof)
  if (values.help) {
    process.stdout.write(`${usage}\n`)
    return
  }
  /** The number that an option spells. Ends the process where it spells none. */
  const number = (name: string, text: string | undefined, otherwise: number): number => {
    if (text === undefined) return otherwise
    if (/^[0-9]{1,9}$/.test(text)) return Number(text)
    process.stderr.write(`--${name} takes a whole number.\n${usage}\n`)
    process.exit(2)
  }
  const size = values.quick ? 'quick' : 'full'
  const seed = number('seed', values.seed, Date.now() % 1_000_000)
  const kills = number('kills', values.kills, proof.kills[size])
  const wanted = values.scenario?.map((text) => number('scenario', text, 0))
  const on = number('processes', values.processes, 0)
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void discardAll().finally(() => process.exit(130)))

  const started = performance.now()
  const say = (text: string) => {
    const seconds = Math.round((performance.now() - started) / 1000)
    process.stderr.write(`${String(seconds).padStart(5)} s  ${text}\n`)
  }
  say(`seed ${seed}`)
  const reported: Reported[] = []
  for (const { number: scenario, title, processes, run } of proof.scenarios) {
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
  end(violated.length === 0 && reported.length > 0 ? 0 : 1)
}

function usageOf({ command, takes, kills, scenarios }: Proof): string {
  const processes = [...new Set(scenarios.flatMap((scenario) => scenario.processes))].sort()
  return `Usage: npm run ${command} -- [options]
  --quick             a small size: minutes instead of ${takes}
  --scenario <n>      one scenario alone; may be repeated
${scenarios.map(({ number, title }) => `                      ${number}: ${title}`).join('\n')}
  --processes <n>     on so many processes alone (${processes.join(', ')})
  --kills <n>         how often a gateway is killed (${kills.full}, quick: ${kills.quick})
  --seed <n>          makes what is random repeatable, as far as time is
  --json              the report as JSON`
}
