import { parseArgs } from 'node:util'
import { contenders } from './targets/contenders.ts'
import { workloads } from './workloads.ts'

/** What is to be run. */
export interface Options {
  readonly mode: 'compare' | 'profile'
  /** Names of targets and of workloads. */
  readonly targets: ReadonlySet<string>
  readonly workloads: ReadonlySet<string>
  readonly rounds: number
  readonly seconds: number
  readonly warmSeconds: number
  /** Of the workload with many keys. */
  readonly keys: number
  readonly json: boolean
  readonly writeDocs: boolean
}

export const usage = `npm run bench -- [profile] [options]

  --quick              one short round of json, sse and paced-64, on nginx, bare and latchkey
  --only a,b           these targets: ${targetNames().join(', ')}
  --workloads a,b      these workloads: ${workloads.map(({ name }) => name).join(', ')}
  --rounds n           rounds of each target and workload (5)
  --seconds n          how long each is looked at (4)
  --keys n             keys of the workload "keys" (10000)
  --json               print the results as JSON instead of tables
  --write-docs         write the tables into docs/performance.md
  profile              where the CPU time of "latchkey" goes, by file, instead of the comparison
`

const quickTargets = 'nginx,bare,latchkey'
const quickWorkloads = 'json,sse,paced-64'

/** Reads the command line; null: it asks for help. Throws with what is wrong with it. */
export function readOptions(args: readonly string[]): Options | null {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      workloads: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      keys: { type: 'string' },
      json: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const [mode = 'compare', ...more] = positionals
  if (more.length > 0 || (mode !== 'compare' && mode !== 'profile'))
    throw new Error(`unknown: ${positionals.join(' ')}\n\n${usage}`)
  const { quick } = values
  const profile = mode === 'profile'
  return {
    mode,
    targets: names('--only', values.only ?? (quick ? quickTargets : null), targetNames()),
    workloads: names(
      '--workloads',
      values.workloads ?? (profile ? 'json' : quick ? quickWorkloads : null),
      workloads.map(({ name }) => name),
    ),
    rounds: number('--rounds', values.rounds, quick ? 1 : 5),
    seconds: number('--seconds', values.seconds, quick ? 2 : profile ? 8 : 4),
    warmSeconds: quick ? 3 : 5,
    keys: number('--keys', values.keys, quick ? 200 : 10_000),
    json: values.json,
    writeDocs: values['write-docs'],
  }
}

function targetNames(): readonly string[] {
  return contenders.flatMap(({ names }) => names)
}

function names(option: string, list: string | null, known: readonly string[]): ReadonlySet<string> {
  if (list === null) return new Set(known)
  const asked = list.split(',')
  const unknown = asked.filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new Error(`${option}: unknown ${unknown.join(', ')}. Known: ${known.join(', ')}`)
  return new Set(asked)
}

function number(option: string, text: string | undefined, unset: number): number {
  const value = text === undefined ? unset : /^[0-9]{1,6}$/.test(text) ? Number(text) : 0
  if (value < 1) throw new Error(`${option} wants a whole number from 1 on`)
  return value
}
